//! A service's folder as a signed package: checked, gathered, packed so that the same files always
//! give the same bytes.

mod archive;
mod commands;
mod git;
mod packed;

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use api::{
    manifest::{Faults, Manifest},
    prices::PriceBook,
    releases::{PACKAGE_BYTES_MAX, PublishRelease, signed_text},
};
use ed25519_dalek::{Signer as _, SigningKey};
use types::{Digest, Name};

use crate::cli::{Failure, status};
use archive::{Contents, IGNORE};

pub(crate) use git::{Branch, Tree};
pub(crate) use packed::Packed;

const MANIFEST: &str = "mandate.toml";
const PRICES: &str = "prices.toml";
/// Neither of the two files may be longer; the platform would not read it.
const TEXT_BYTES_MAX: u64 = 256 << 10;

/// The two files that say what a service is and costs, read and checked.
#[derive(Debug)]
pub(crate) struct Texts {
    manifest_text: String,
    prices_text: String,
    /// What `mandate.toml` says.
    pub(crate) manifest: Manifest,
    /// What `prices.toml` says.
    pub(crate) book: PriceBook,
}

impl Texts {
    /// Reads both files of `folder`; every fault in them is told with its line and its mend.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let manifest_text = text(folder, MANIFEST)?;
        let prices_text = text(folder, PRICES)?;
        let manifest = Manifest::parse(MANIFEST, &manifest_text);
        let book = PriceBook::parse(PRICES, &prices_text);
        let (manifest, book) = match (manifest, book) {
            (Ok(manifest), Ok(book)) => (manifest, book),
            (manifest, book) => {
                let faults = [manifest.err(), book.err()].into_iter().flatten();
                return Err(refused(folder, faults.flat_map(|faults| faults.0)));
            }
        };
        let fits = book.check_against(PRICES, &prices_text, &manifest);
        fits.map_err(|Faults(faults)| refused(folder, faults))?;
        Ok(Self { manifest_text, prices_text, manifest, book })
    }

    /// The service's name.
    pub(crate) const fn service(&self) -> &Name {
        &self.manifest.service.name
    }
}

/// The two files of `folder`, by name.
pub(crate) fn files(folder: &Path) -> String {
    format!("{} with {PRICES}", folder.join(MANIFEST).display())
}

fn text(folder: &Path, name: &str) -> Result<String, Failure> {
    let path = folder.join(name);
    let cannot = |cause: &io::Error| Failure::cannot(format!("read `{}`", path.display()), cause);
    let file = fs::File::open(&path).map_err(|cause| cannot(&cause))?;
    let mut text = String::new();
    let read = file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(|cause| cannot(&cause))? as u64 > TEXT_BYTES_MAX {
        let sentence = format!("`{}` is longer than {} KiB", path.display(), TEXT_BYTES_MAX >> 10);
        return Err(Failure::new(status::UNFIT, sentence));
    }
    Ok(text)
}

fn refused(folder: &Path, faults: impl IntoIterator<Item = api::manifest::Fault>) -> Failure {
    let line = |fault: api::manifest::Fault| {
        let key = if fault.key.is_empty() { String::new() } else { format!(" [{}]", fault.key) };
        format!("{}:{}:{key} {}; {}\n", fault.file, fault.line, fault.problem, fault.mend)
    };
    let lines: Vec<String> = faults.into_iter().map(line).collect();
    let (count, s) = (lines.len(), if lines.len() == 1 { "" } else { "s" });
    let sentence = format!("`{}` cannot be published: {count} fault{s} to mend", folder.display());
    Failure::new(status::UNFIT, sentence).output("faults", &lines.concat())
}

/// A folder to pack; removed afterwards if it was made for that.
#[derive(Debug)]
pub(crate) struct Gathered {
    folder: PathBuf,
    temporary: bool,
}

impl Drop for Gathered {
    fn drop(&mut self) {
        if self.temporary {
            // What stays behind is in the folder for temporary files.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Runs the manifest's package command, which fills a fresh folder; without one `folder` itself is
/// what is packed. What the command prints goes to standard error.
pub(crate) async fn gather(folder: &Path, manifest: &Manifest) -> Result<Gathered, Failure> {
    let Some(package) = &manifest.package else {
        return Ok(Gathered { folder: folder.to_owned(), temporary: false });
    };
    let name = format!("mandate-package-{}", &chassis::random_secret().reveal()[..12]);
    let fresh = std::env::temp_dir().join(name);
    let made = fs::DirBuilder::new().mode(0o700).create(&fresh);
    made.map_err(|cause| Failure::cannot(format!("make `{}`", fresh.display()), &cause))?;
    let gathered = Gathered { folder: fresh, temporary: true };
    let words = package.command.join(" ");
    let folder = folder.canonicalize();
    let folder = folder.map_err(|cause| Failure::cannot(format!("run `{words}`"), &cause))?;
    let (program, arguments) =
        package.command.split_first().expect("a manifest's command has a word");
    // A path is meant from the manifest's folder; a bare name is looked for as a shell would.
    let program = if program.contains('/') { folder.join(program) } else { program.into() };
    let mut command = tokio::process::Command::new(program);
    let status = git::outside_of_repositories(&mut command)
        .args(arguments)
        .current_dir(folder)
        .env("PACKAGE_DIR", &gathered.folder)
        // What is packed may come from anywhere; whoever publishes does not lend it their name.
        .env_remove("MANDATE_TOKEN")
        .env_remove("MANDATE_PASSWORD")
        .stdin(std::process::Stdio::null())
        .stdout(io::stderr())
        .kill_on_drop(true)
        .status()
        .await;
    let status = status.map_err(|cause| Failure::cannot(format!("run `{words}`"), &cause))?;
    if status.success() {
        return Ok(gathered);
    }
    let sentence = format!("the package command `{words}` failed: {status}");
    Err(Failure::new(status::UNEXPECTED, sentence).hint("what it printed is above"))
}

/// A package, ready to be sent.
pub(crate) struct Package {
    /// The tar archive, compressed by zstd.
    pub(crate) packed: Packed,
    /// How many files and folders are in it.
    pub(crate) entries: usize,
    left_out: Vec<PathBuf>,
    /// The two files as they are in it.
    pub(crate) texts: Texts,
}

impl Package {
    /// What of the folder is not in it, and how that is changed; nothing if it is all there.
    pub(crate) fn left_out(&self) -> Option<String> {
        let names: Vec<String> =
            self.left_out.iter().take(5).map(|name| name.display().to_string()).collect();
        let more = self.left_out.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = names.join(", ");
        let word = format!("left out {names}{more}; a line `!NAME` in `{IGNORE}` packs it");
        (!self.left_out.is_empty()).then_some(word)
    }
}

/// Packs what was gathered, once it is known that both files are in it and in order.
pub(crate) async fn pack(gathered: Gathered) -> Result<Package, Failure> {
    let packed = tokio::task::spawn_blocking(move || {
        let texts = Texts::read(&gathered.folder).map_err(|failure| {
            failure.hint("the package must hold `mandate.toml` and `prices.toml`")
        })?;
        let folder = &gathered.folder;
        if fs::symlink_metadata(folder.join(MANIFEST)).is_ok_and(|about| about.is_symlink()) {
            let sentence = format!("`{MANIFEST}` is a link: pack the file itself");
            return Err(Failure::new(status::UNFIT, sentence));
        }
        // What a command has put there was chosen by its author.
        let contents =
            if gathered.temporary { Contents::all(folder)? } else { Contents::of(folder)? };
        commands::check(folder, &contents.names, &texts.manifest)?;
        let packed = contents.pack()?;
        if packed.bytes > PACKAGE_BYTES_MAX {
            return Err(archive::too_large(format!("{} MiB compressed", PACKAGE_BYTES_MAX >> 20)));
        }
        let Contents { names, left_out, .. } = contents;
        let entries = names.len();
        Ok(Package { packed, entries, left_out, texts })
    });
    packed.await.map_err(|cause| Failure::new(status::UNEXPECTED, cause.to_string()))?
}

/// Who signs packages.
pub(crate) struct Publisher(SigningKey);

impl Publisher {
    /// The key in the file at `path`, which only its owner may read. One that is not there is made
    /// only if that was meant: a service takes no release from another key than its first one's.
    pub(crate) fn open(path: PathBuf, may_make: bool) -> Result<Self, Failure> {
        if !may_make && !path.exists() {
            let sentence = format!("there is no publisher's key `{}`", path.display());
            return Err(Failure::new(status::NOT_FOUND, sentence)
                .hint("is the path right? `--new-key` makes a key there"));
        }
        let fresh = || chassis::hex(&rand::random::<[u8; 32]>());
        let text = chassis::private_file(&path, fresh);
        let text = text.map_err(|cause| {
            Failure::new(status::UNEXPECTED, format!("{:#}", anyhow::Error::from(cause)))
        })?;
        let cannot = |cause| Failure::cannot(format!("read `{}`", path.display()), &cause);
        let mode = fs::metadata(&path).map_err(cannot)?.permissions().mode();
        if mode & 0o077 != 0 {
            let sentence = format!("others can read the publisher's key `{}`", path.display());
            return Err(
                Failure::new(status::UNFIT, sentence).hint("make it yours alone: `chmod 600`")
            );
        }
        let seed = chassis::unhex(&text).ok_or_else(|| {
            let sentence = format!("`{}` is not a publisher's key", path.display());
            Failure::new(status::UNFIT, sentence).hint("it should be 64 hexadecimal digits")
        })?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// By what it is known, 64 hexadecimal digits.
    pub(crate) fn public_key(&self) -> String {
        chassis::hex(self.0.verifying_key().as_bytes())
    }

    /// The release that a package is, signed.
    pub(crate) fn release(
        &self,
        texts: Texts,
        digest: Digest,
        source: Option<String>,
    ) -> PublishRelease {
        let service = texts.service().clone();
        let signature = self.0.sign(signed_text(&service, &digest).as_bytes());
        PublishRelease {
            service,
            digest,
            manifest: texts.manifest_text,
            prices: texts.prices_text,
            public_key: self.public_key(),
            signature: chassis::hex(&signature.to_bytes()),
            source,
        }
    }
}
