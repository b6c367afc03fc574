//! What is listed: sessions, turns, users, figures, rows of a query.

use anyhow::Result;

use super::{Names, Talk, Ui, approval, draw, json, report, table, theme, visible};
use crate::conversation::counted;
use crate::store::{Finding, Group, Interaction, Rows, State, Stats, User};

impl Ui {
    pub(super) fn more(&self, more: usize) {
        if more > 0 {
            let (ones, are) = if more == 1 {
                ("one", "is")
            } else {
                ("ones", "are")
            };
            self.note(&format!(
                "{more} earlier {ones} {are} not shown; raise --limit"
            ));
        }
    }

    /// Shows what the store is made of.
    pub fn stats(&self, stats: &Stats) -> Result<()> {
        if self.json {
            return self.print_json(&json::stats(stats));
        }
        draw(&table::stats(stats, self.look))
    }

    /// Shows users.
    pub fn users(&self, users: &[User]) -> Result<()> {
        if self.json {
            return self.print_json(&json::users(users));
        }
        if users.is_empty() {
            self.note("you have not said anything yet");
            return Ok(());
        }
        draw(&table::users(users, self.look))
    }

    /// Shows what an examination found.
    pub fn doctor(&self, findings: &[Finding]) -> Result<()> {
        if self.json {
            return self.print_json(&serde_json::json!({"type": "doctor", "checks": findings}));
        }
        let widest = findings.iter().map(|finding| finding.what.len()).max();
        let line = |finding: &Finding| {
            let state = match finding.state {
                State::Fine => theme::good("fine ", self.look.color),
                State::Odd => theme::strong("odd  ", self.look.color),
                State::Wrong => theme::alarm("wrong", self.look.color),
                State::Fixed => theme::strong("fixed", self.look.color),
            };
            let (what, detail) = (&finding.what, theme::one_line(&finding.detail));
            format!("{state}  {what:<0$}  {detail}", widest.unwrap_or_default())
        };
        draw(&findings.iter().map(line).collect::<Vec<_>>().join("\n"))?;
        if findings.iter().any(|finding| finding.state == State::Wrong) {
            self.note("`allm doctor --fix` repairs what can be");
        }
        Ok(())
    }

    /// Asks a person for a yes.
    ///
    /// # Errors
    ///
    /// Fails where there is nobody to ask.
    pub fn confirm(&self, question: &str) -> Result<bool> {
        approval::confirm(self, question)
    }

    /// Shows the rows of a query.
    pub fn rows(&self, rows: &Rows, csv: bool) -> Result<()> {
        if csv {
            self.print(&table::csv(rows)?)?;
        } else if self.json {
            self.print_json(&json::rows(rows))?;
        } else if rows.columns.is_empty() {
            self.note("no columns");
        } else {
            draw(&table::rows(rows, self.look))?;
        }
        if rows.more {
            self.note(&format!(
                "only the first {} shown; raise --limit",
                match rows.rows.len() {
                    1 => "row is".to_owned(),
                    count => format!("{} are", counted(count, "row")),
                }
            ));
        }
        Ok(())
    }

    /// Shows what turns add up to.
    pub fn groups(&self, by: &str, groups: &[Group], stats: &Stats) -> Result<()> {
        if self.json {
            return self.print_json(&json::groups(by, groups, stats));
        }
        if groups.is_empty() {
            self.note("nothing to add up");
            return Ok(());
        }
        draw(&table::groups(by, groups, self.look))
    }

    /// Shows the turns of the live conversation, whole.
    pub fn history(&self, turns: &[Interaction], names: &Names, more: usize) -> Result<()> {
        if self.json {
            return self.print_json(&json::history(turns, names, more));
        }
        if turns.is_empty() {
            self.note("nothing has been said in this conversation yet");
            return Ok(());
        }
        if more > 0 {
            let are = if more == 1 { "is" } else { "are" };
            let turns = counted(more, "earlier turn");
            self.note(&format!("{turns} {are} not shown"));
        }
        let said = |turn: &Interaction| {
            let asked = self.look.text(&turn.query);
            let asked = theme::strong(&format!("› {asked}"), self.look.color);
            format!("{asked}\n{}", self.look.text(&turn.response).trim_end())
        };
        if self.look.is_terminal && self.talk != Talk::Quiet {
            // There it is one text, to be paged as a whole.
            let whole = turns.iter().map(|turn| {
                let footer = report::footer(turn, None, self.look.zone);
                format!(
                    "{}\n{}",
                    said(turn),
                    theme::dim(&visible(&footer), self.look.color)
                )
            });
            return draw(&whole.collect::<Vec<_>>().join("\n"));
        }
        for turn in turns {
            draw(&said(turn))?;
            self.footer(turn, None);
        }
        Ok(())
    }

    /// Shows an answer and nothing else.
    pub fn last(&self, interaction: &Interaction, names: &Names) -> Result<()> {
        if self.json {
            return self.print_json(&json::last(interaction, names));
        }
        self.print(&interaction.response)
    }
}

/// Lists names and, behind so many columns, what they are; within a width.
pub fn listed(rows: &[(String, String)], behind: usize, width: usize) -> String {
    let width = width.min(80);
    // Where little room is left for it, what something is stands below its name.
    let indent = match behind + 24 <= width {
        true => behind,
        false => 6,
    };
    let mut text = String::new();
    for (name, about) in rows {
        let mut line = format!("  {name}");
        if indent != behind {
            text.push_str(&format!("{line}\n"));
            line.clear();
        }
        line = format!("{line:<indent$}");
        for word in about.split_whitespace() {
            let is_full = line.chars().count() + word.chars().count() > width;
            if is_full && line.chars().count() > indent {
                text.push_str(&format!("{}\n", line.trim_end()));
                line = " ".repeat(indent);
            }
            line.push_str(&format!("{word} "));
        }
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text
}
