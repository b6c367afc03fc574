//! What is longer than the screen: one page for one command, by a pager that has the terminal as it always is.

use crate::harness::Home;
use crate::server;

#[test]
fn a_pager_has_the_terminal_as_it_is_outside() {
    let home = Home::new();
    let pager = "cat > /dev/null; stty -a < /dev/tty; read typed < /dev/tty; echo \"<$typed>\"";
    let mut shell = home.terminal_with(&["chat", "-p", "offline"], &[("PAGER", pager)]);
    shell.wait_for("› ");
    shell.type_keys("/help\r");
    shell.wait_for(" icrnl");
    shell.wait_for(" icanon");
    shell.wait_for(" echo ");
    shell.type_keys("seen\r");
    // It is seen as it is typed.
    shell.wait_for("seen\r\n");
    shell.wait_for("<seen>");
    shell.wait_for("› ");
    shell.type_keys("/quit\r");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
}

#[test]
fn what_belongs_together_is_paged_as_a_whole() {
    let server = server::ollama(|question| format!("{question}\n").repeat(30));
    let home = Home::new();
    let pager = "echo begins; cat; echo ends";
    let chat = ["chat", "--base-url", &server.url, "--no-tools"];
    let mut shell = home.terminal_with(&chat, &[("PAGER", pager)]);
    for question in ["the first", "the second"] {
        shell.wait_for("› ");
        shell.type_keys(&format!("{question}\r"));
        shell.wait_for(" · ");
    }
    for (line, seen) in [
        ("/history", ["› the first", " · ", "› the second"]),
        ("/similar the first", ["#", "the first", "the second"]),
    ] {
        shell.wait_for("› ");
        let before = shell.screen().len();
        shell.type_keys(&format!("{line}\r"));
        if line == "/history" {
            shell.wait_for("begins");
        }
        for seen in seen {
            shell.wait_for(seen);
        }
        if line == "/history" {
            shell.wait_for("ends");
        }
        let pages = shell.screen()[before..].matches("begins").count();
        assert!(pages <= 1, "{}", shell.screen());
    }
}

#[test]
fn a_quiet_chat_begins_with_its_prompt() {
    let home = Home::new();
    let begun = home.allm().args(["chat", "-p", "offline", "the quokka"]);
    begun.run().ok();
    for (quiet, is_shown) in [("-q", false), ("--color=auto", true)] {
        let mut shell = home.terminal(&["chat", "-p", "offline", "-c", quiet]);
        shell.wait_for("extractive › ");
        let screen = shell.screen();
        assert_eq!(screen.contains("quokka"), is_shown, "{screen}");
        assert_eq!(screen.contains("Ctrl-D"), is_shown, "{screen}");
    }
}
