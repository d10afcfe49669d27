//! What is owed, and why.

mod usage;

use std::time::{Duration, Instant};

use api::billing::{
    self, BillLine, ExplainLine, GetBill, GetVerification, LineExplanation, LineUsage,
    Verification, VerifiedLine, VerifyBill, reading,
};
use clap::{Args, Subcommand};
use types::{AccountId, Money, Timestamp};

use super::{
    Failure, Outcome,
    context::Context,
    names::Ids,
    output::{Limit, Table, Whose, day, moment, record},
    progress::Progress,
    status,
};

/// How long usage may take from the gateway to the bill.
const ARRIVAL: Duration = Duration::from_secs(5);
/// How often it is looked whether it has come.
const PAUSE: Duration = Duration::from_millis(200);

/// What is owed, and why
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mandate bill show --month 2026-11
  mandate bill explain bakery-forum.localhost.meter.requests")]
pub(crate) struct Bill {
    #[command(subcommand)]
    verb: BillVerb,
}

#[derive(Debug, Args)]
struct When {
    /// Of which month, in UTC; the present one if absent
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    month: Option<Timestamp>,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, Subcommand)]
enum BillVerb {
    /// Show the bill of a month; the present month's is a draft
    Show(When),
    /// Walk from a line's amount to rates, quantities and the usage they came from
    Explain {
        /// The line's name, as `bill show` prints it
        line: String,
        #[command(flatten)]
        when: When,
        /// How many pieces of usage to show; `--json` prints all that come, at most 1000
        #[arg(long, value_name = "N", default_value_t = 20)]
        usage: usize,
    },
    /// Recompute the bill from raw usage by other code, and wait; exits with 8 if they disagree
    Verify(When),
    /// For operators: list usage that cannot be billed as it came, oldest first
    SetAside(Limit),
    /// For operators: list where usage is missing, and which sources wait for it
    Gaps(Limit),
    /// For operators: give up the usage that sources wait for, so that they go on
    AcceptGaps {
        /// Only of this source, as `bill gaps` prints it
        #[arg(long)]
        source: Option<String>,
    },
    /// List the usage events, oldest first
    Usage {
        /// Only of this instance: its id, or its host
        #[arg(long)]
        instance: Option<String>,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        limit: Limit,
    },
}

fn month(text: &str) -> Result<Timestamp, String> {
    let first = (text.len() == 7).then(|| format!("{text}-01T00:00:00Z").parse().ok()).flatten();
    first.ok_or_else(|| "write a month as `2026-11`".to_owned())
}

impl Bill {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            BillVerb::Show(When { month, whose }) => {
                let account = cx.account(whose.account).await?;
                let bill = cx.ask(GetBill { account, month }).await?;
                let called = cx.names(Ids { accounts: [account].into(), ..Ids::default() }).await;
                cx.show(&bill, |bill| shown(bill, &called.account(account)))
            }
            BillVerb::Explain { line, when: When { month, whose }, usage } => {
                let account = cx.account(whose.account).await?;
                let explanation = explanation(cx, ExplainLine { account, line, month }).await?;
                cx.show(&explanation, |explanation| explained(explanation, usage))
            }
            BillVerb::Verify(When { month, whose }) => {
                let account = cx.account(whose.account).await?;
                let verification = verification(cx, account, month).await?;
                cx.show(&verification, verified)?;
                if verification.agrees { Ok(()) } else { Err(Failure::silent(status::DISAGREES)) }
            }
            BillVerb::SetAside(Limit { limit }) => usage::set_aside(cx, limit).await,
            BillVerb::Gaps(Limit { limit }) => usage::gaps(cx, limit).await,
            BillVerb::AcceptGaps { source } => usage::accept_gaps(cx, source).await,
            BillVerb::Usage { instance, whose, limit } => {
                usage::list(cx, instance, whose, limit).await
            }
        }
    }
}

fn shown(bill: &billing::Bill, of: &str) -> String {
    let (from, to) = (day(bill.period.starts()), day(bill.period.ends()));
    let whole_month = bill.period == bill.period.starts().month();
    let period = match from.get(..7) {
        Some(month) if whole_month => month.to_owned(),
        _ => format!("{from} up to {to}"),
    };
    let draft = format!(": a draft, with usage up to {}", moment(bill.until));
    let draft = if bill.draft { draft } else { String::new() };
    let head = format!("Bill of {of} for {period}{draft}");
    if bill.lines.is_empty() {
        return format!("{head}\n\nNothing was used; `mandate order place` takes an instance.");
    }
    let mut table = Table::new(&["LINE", ">QUANTITY", "", ">AMOUNT", ""]);
    for lines in bill.lines.chunk_by(|line, next| line.instance == next.instance) {
        of_instance(&mut table, lines, lines.len() < bill.lines.len());
    }
    let problems = bill.lines.iter().filter_map(|line| Some((&line.line, line.problem.as_ref()?)));
    let problems = problems
        .fold(String::new(), |said, (line, problem)| format!("{said}\n\n{line}: {problem}."));
    table.row([&"", &"", &"", &"", &""]);
    for total in &bill.totals {
        let (amount, currency) = money(*total);
        table.row([&"TOTAL", &"", &"", &amount, &currency]);
    }
    format!(
        "{head}\n\n{}{problems}\n\n`mandate bill explain LINE` says why a line is what it is.",
        table.text()
    )
}

/// The lines of one instance, and what they are together if there are others.
fn of_instance(table: &mut Table, lines: &[BillLine], others: bool) {
    let Some((BillLine { host, service, amount: first, .. }, rest)) = lines.split_first() else {
        return;
    };
    table.section(&format!("{host} ({service})"));
    for line in lines {
        let (amount, currency) = match line.problem {
            Some(_) => ("?".to_owned(), String::new()),
            None => money(line.amount),
        };
        let (many, unit) = reading::quantity(line.quantity, &line.unit);
        table.row([&line.line, &many, &unit, &amount, &currency]);
    }
    let together = rest.iter().try_fold(*first, |sum, line| sum.plus(line.amount));
    if let (true, Ok(together)) = (others, together) {
        let (amount, currency) = money(together);
        table.row([&"total", &"", &"", &amount, &currency]);
    }
}

/// The number and the currency apart, so that the numbers stand under each other.
fn money(money: Money) -> (String, String) {
    let text = money.to_string();
    let (amount, currency) = text.rsplit_once(' ').unwrap_or((&text, ""));
    (amount.to_owned(), currency.to_owned())
}

/// Asks for an explanation. A line that is not there may be on its way: a meter's line begins when
/// its first usage has come, which is waited for.
async fn explanation(cx: &Context, operation: ExplainLine) -> Result<LineExplanation, Failure> {
    let begun = Instant::now();
    loop {
        let failure = match cx.ask(operation.clone()).await {
            Err(failure) if failure.is_not_found() => failure,
            other => return other,
        };
        if !operation.line.contains(".meter.") || begun.elapsed() > ARRIVAL {
            let hint = "`mandate bill show` names the lines that are there; what was just used is \
                        among them within a second or two";
            return Err(failure.hint(hint));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn explained(explanation: &LineExplanation, usage_max: usize) -> String {
    let LineExplanation { line, rounding, parts, usage, usage_count, .. } = explanation;
    let head = record(&[
        ("line", Some(line.line.clone())),
        ("what for", Some(line.title.clone())),
        ("instance", Some(format!("{} ({}, {})", line.host, line.service, line.instance))),
        ("amount", Some(line.amount.to_string())),
        ("rounding", Some(rounding.clone())),
    ]);
    let currency = line.amount.currency;
    let headings = ["PART", ">QUANTITY", "PRICE", ">AMOUNT", "PRICES SINCE"];
    let mut table = Table::new(&headings);
    for part in parts {
        let quantity = reading::quantity_text(part.quantity, &line.unit);
        let price = reading::price(part.rate, &line.unit, currency);
        let amount = reading::money(part.amount, currency);
        table.row([&part.note, &quantity, &price, &amount, &moment(part.effective)]);
    }
    let (total, _) = money(line.amount);
    let quantity = reading::quantity_text(line.quantity, &line.unit);
    table.row([&"total", &quantity, &"", &total, &""]);
    let pieces = pieces(usage.get(..usage_max).unwrap_or(usage), &line.unit, *usage_count);
    format!("{head}\n\n{}\n\n{pieces}", table.text())
}

fn pieces(usage: &[LineUsage], unit: &str, count: u64) -> String {
    if usage.is_empty() {
        return format!("It came from {count} pieces of usage.");
    }
    let headings = ["FROM", "TO", ">QUANTITY", "NOTE", "EVENT"];
    let table = Table::of(&headings, usage, |table, piece| {
        let until = piece.until.map(moment).unwrap_or_default();
        let (at, quantity) = (moment(piece.at), reading::quantity_text(piece.quantity, unit));
        table.row([&at, &until, &quantity, &piece.note, &piece.event]);
    });
    let shown = usage.len();
    let which = match u64::try_from(shown) {
        Ok(shown) if shown < count => {
            format!("the newest {shown} of {count}; `--usage N` shows more")
        }
        _ => format!("{count}"),
    };
    format!("Usage that it came from ({which}):\n{table}")
}

/// Asks for a verification and waits until it is done.
async fn verification(
    cx: &Context,
    account: AccountId,
    month: Option<Timestamp>,
) -> Result<Verification, Failure> {
    // The platform's word for the month, should it end meanwhile.
    let month = Some(cx.ask(VerifyBill { account, month }).await?.month);
    let look = async || cx.ask(GetVerification { account, month }).await;
    let mut progress = Progress::begin(cx);
    progress
        .until(look, |progress, seen| {
            if let Some(problem) = seen.problem {
                return Err(Failure::new(status::UNEXPECTED, problem));
            }
            if seen.result.is_none() && seen.events > 0 {
                let tenths = seen.events * 10 / seen.events_total.max(1);
                let events = seen.events_total;
                progress.say(&format!("{} % of {events} usage events are read", tenths * 10))?;
            }
            Ok(seen.result)
        })
        .await
}

fn verified(verification: &Verification) -> String {
    let row = |table: &mut Table, line: &VerifiedLine| {
        let none = if line.agrees { "too large" } else { "missing" };
        let shown = |amount: Option<Money>| amount.map_or_else(|| none.into(), |m| m.to_string());
        let mark = if line.agrees { "" } else { "differs" };
        table.row([&line.line, &shown(line.billed), &shown(line.recomputed), &mark]);
    };
    let mut table = Table::new(&["LINE", ">BILLED", ">RECOMPUTED", ""]);
    verification.lines.iter().for_each(|line| row(&mut table, line));
    for total in &verification.totals {
        let mark = if total.billed == total.recomputed { "" } else { "differs" };
        table.row([&"TOTAL", &total.billed, &total.recomputed, &mark]);
    }
    let outcome =
        if verification.agrees { "The bill agrees to the cent" } else { "The bill DISAGREES" };
    let events = verification.events;
    let until = moment(verification.until);
    let aside = match verification.set_aside {
        0 => String::new(),
        events => format!(
            "\n{events} usage events of this account are set aside and on no bill; \
             `mandate bill set-aside` shows an operator why."
        ),
    };
    format!(
        "{}\n\n{outcome}: recomputed from {events} usage events up to {until}.{aside}",
        table.text()
    )
}
