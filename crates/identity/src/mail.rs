//! Letters to people: over SMTP, or into a folder where there is no server for them.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chassis::private_file;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType},
    },
};
use types::{Digest, Timestamp};

/// A server that does not answer is not waited for longer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// A letter in the folder is kept for so long: its link is good for much less.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// How letters are sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Where a letter is written that no server takes.
    folder: PathBuf,
    from: Mailbox,
    server: Option<AsyncSmtpTransport<Tokio1Executor>>,
}

/// Why a letter was not sent, or cannot be.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server's address cannot be used.
    #[error(
        "the address of the mail server cannot be used: write it as \
         `smtps://USER:PASSWORD@HOST:465` or `smtp://HOST:587?tls=required`"
    )]
    Server(#[source] lettre::transport::smtp::Error),
    /// An address is none.
    #[error("`{0}` is not a valid e-mail address for a sender or recipient")]
    Address(String),
    /// The letter could not be written.
    #[error("the mail cannot be composed")]
    Letter(#[source] lettre::error::Error),
    /// The server did not take it.
    #[error("the mail server did not accept the mail")]
    Sending(#[source] lettre::transport::smtp::Error),
    /// The folder did not take it.
    #[error("the mail cannot be written to the mail folder")]
    Folder(#[source] chassis::SealError),
}

/// What is to be told.
pub(crate) struct Letter<'a> {
    pub(crate) to: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) text: String,
    pub(crate) at: Timestamp,
}

impl Mail {
    /// Letters from the address `from`, by the SMTP server at the address `server` if there is
    /// one, else into `folder`.
    pub fn new(folder: PathBuf, from: &str, server: Option<&str>) -> Result<Self, MailError> {
        let server = server.map(|url| {
            let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
            server.map(|server| server.timeout(Some(ANSWER_TIME_MAX)).build())
        });
        let server = server.transpose().map_err(MailError::Server)?;
        Ok(Self { folder, from: mailbox(from)?, server })
    }

    pub(crate) async fn send(&self, letter: Letter<'_>) -> Result<(), MailError> {
        let since_1970 = u64::try_from(letter.at.micros()).unwrap_or(0);
        let message = Message::builder()
            .from(self.from.clone())
            .to(mailbox(letter.to)?)
            .subject(letter.subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_micros(since_1970))
            .header(ContentType::TEXT_PLAIN)
            .body(plain(&letter.text))
            .map_err(MailError::Letter)?;
        match &self.server {
            // Whoever is of this machine alone has no mail server.
            Some(server) if !letter.to.ends_with("@localhost") => {
                server.send(message).await.map(drop).map_err(MailError::Sending)
            }
            _ => self.put(letter.at, &message.formatted()),
        }
    }

    fn put(&self, at: Timestamp, content: &[u8]) -> Result<(), MailError> {
        let text = String::from_utf8_lossy(content);
        let name = format!("{}-{}.eml", at.micros(), Digest::of(content).short());
        let path = self.folder.join(name);
        private_file(&path, || text.into_owned()).map_err(MailError::Folder)?;
        tracing::info!("a letter is in `{}`", path.display());
        Ok(())
    }

    /// Removes letters from the folder that are older than seven days.
    pub(crate) fn forget(&self, now: Timestamp) -> std::io::Result<()> {
        let Ok(files) = std::fs::read_dir(&self.folder) else { return Ok(()) };
        for file in files {
            let path = file?.path();
            if written(&path).is_some_and(|written| now.since(written) > KEPT) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// When a letter was written, by the name of its file; nothing of another's file.
fn written(file: &Path) -> Option<Timestamp> {
    let name = file.file_name()?.to_str()?.strip_suffix(".eml")?;
    name.split_once('-')?.0.parse().ok().map(Timestamp::from_micros)
}

/// As it is where that is allowed, so that a link in a file can be read and copied: the library
/// would break a line that is longer than 76 letters.
fn plain(text: &str) -> Body {
    let text = text.replace('\n', "\r\n");
    if text.is_ascii() && text.lines().all(|line| line.len() < 998) {
        return Body::dangerous_pre_encoded(text.into(), ContentTransferEncoding::SevenBit);
    }
    Body::new(text)
}

fn mailbox(text: &str) -> Result<Mailbox, MailError> {
    text.parse().map_err(|_| MailError::Address(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// Takes one letter as RFC 5321 says, and gives back what it was told.
    async fn server(stream: TcpStream) -> Vec<String> {
        let mut stream = BufReader::new(stream);
        let (mut told, mut is_content) = (Vec::new(), false);
        stream.write_all(b"220 here\r\n").await.unwrap();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap() == 0 {
                return told;
            }
            let line = line.trim_end().to_owned();
            let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                "." => Some("250 taken"),
                _ if is_content => None,
                "DATA" => Some("354 go on"),
                "QUIT" => Some("221 bye"),
                _ => Some("250 yes"),
            };
            is_content = line == "DATA" || (is_content && line != ".");
            told.push(line);
            if let Some(answer) = answer {
                stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            }
        }
    }

    fn letter(to: &str) -> Letter<'_> {
        let (subject, text) = ("A subject", "A text with a link.".to_owned());
        Letter { to, subject, text, at: Timestamp::from_micros(1_700_000_000_000_000) }
    }

    #[tokio::test]
    async fn a_letter_goes_to_the_server_or_into_the_folder() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let told = tokio::spawn(async move { server(listener.accept().await.unwrap().0).await });
        let folder = std::env::temp_dir().join(format!("mandate-mail-{}", std::process::id()));
        let mail = Mail::new(folder.clone(), "mandate@example.com", Some(&url)).unwrap();
        mail.send(letter("ada@example.com")).await.unwrap();
        assert!(!folder.exists());
        mail.send(letter("operator@localhost")).await.unwrap();
        drop(mail);
        let told = told.await.unwrap().join("\n");
        for part in ["<mandate@example.com>", "<ada@example.com>", "Subject: A subject", "a link."]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains("To: operator@localhost") && text.contains("2023"), "{text}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn letters_in_the_folder_are_forgotten_after_a_week() {
        let folder = std::env::temp_dir().join(format!("mandate-letters-{}", std::process::id()));
        let mail = Mail::new(folder.clone(), "mandate@example.com", None).unwrap();
        mail.forget(letter("").at).unwrap();
        mail.send(letter("ada@example.com")).await.unwrap();
        std::fs::write(folder.join("1-note.txt"), "not a letter").unwrap();
        let files = || std::fs::read_dir(&folder).unwrap().count();
        mail.forget(letter("").at.plus(KEPT)).unwrap();
        assert_eq!(files(), 2);
        mail.forget(letter("").at.plus(KEPT + Duration::from_secs(1))).unwrap();
        assert_eq!(files(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_server_is_refused_in_words() {
        for wrong in ["", "localhost", "http://example.com"] {
            let refused = Mail::new(PathBuf::new(), "a@example.com", Some(wrong)).unwrap_err();
            assert!(refused.to_string().contains("smtps://"), "{wrong}: {refused}");
        }
        assert!(Mail::new(PathBuf::new(), "nobody", None).is_err());
    }
}
