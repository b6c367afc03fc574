//! Which other commands an approval of one covers.

use super::Cover;

/// What has a shell do more than run one program with its arguments.
const MORE: &str = ";&|<>()$`";

/// Programs, and words of the shell, that run what their arguments say.
const RUNNERS: &str = "sudo doas su runuser pkexec run env nice ionice nohup setsid timeout time stdbuf unbuffer xargs parallel \
    sh bash rbash zsh dash ksh mksh ash fish csh tcsh busybox toybox eval exec command builtin source trap alias coproc \
    watch entr ssh mosh chroot fakeroot unshare nsenter flock script expect screen tmux strace ltrace gdb valgrind perf \
    chrt taskset numactl arch setarch linux systemd-run start-stop-daemon at batch npx bunx pnpx uvx pipx caffeinate direnv \
    if while until for case select then else do function";

/// Subcommands and other words that have a program run what its arguments say.
const RUNNING: &str = "exec run run-script shell sh bash ssh x dlx eval foreach filter-branch";

/// Programs that take no subcommand, and whose arguments only say what is said, listed or made. What reads a file is not among them:
/// which file it is decides.
const HARMLESS: &str = "echo printf ls pwd stat du df date uname whoami id which basename dirname realpath readlink touch mkdir sleep \
    seq true false";

/// Programs whose first word says what is done. Of all others nobody knows what a word after them is.
const WITH_SUBCOMMANDS: &str = "git hg svn jj gh glab cargo rustup go npm pnpm yarn pip pip3 uv poetry conda gem bundle mix dotnet mvn \
    gradle gradlew swift zig stack cabal composer terraform helm kubectl docker podman brew apt apt-get dnf pacman nix systemctl \
    journalctl ollama allm";

/// Returns what an approval of a command covers.
///
/// The arguments of a program are as good as unknown, so only a line that a shell takes for one program, its subcommand and plain
/// arguments covers others that begin so; where the word after the program is no subcommand, it covers itself alone.
pub fn cover(command: &str) -> Cover {
    let command = command.trim();
    let mut words = command.split([' ', '\t']).filter(|word| !word.is_empty());
    let program = words.next().unwrap_or_default();
    let is_listed = |list: &str, word: &str| list.split_whitespace().any(|listed| listed == word);
    let name = program.rsplit('/').next().unwrap_or_default();
    // `python3.12` is `python`.
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_plain = !command.contains(|c: char| MORE.contains(c) || (c != '\t' && c.is_control()))
        && program
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-+./".contains(c))
        && !name.is_empty()
        && !is_listed(RUNNERS, name)
        && !words.clone().any(|word| {
            let option = word.trim_start_matches(['"', '\'', '-']);
            word.contains('-') && option.len() < word.len() && option.starts_with("exec")
        });
    if !is_plain {
        return Cover::Call(None);
    }
    if is_listed(HARMLESS, program) {
        return Cover::Commands(program.to_owned());
    }
    let is_running = |word: &str| {
        let word = word.trim_matches(['"', '\'']);
        is_listed(RUNNING, word) || word.starts_with("-x")
    };
    let is_subcommand = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_:".contains(c))
    };
    let has_subcommands = is_listed(WITH_SUBCOMMANDS, name) && !words.clone().any(is_running);
    match words.next().filter(is_subcommand) {
        Some(subcommand) if has_subcommands => Cover::Commands(format!("{program} {subcommand}")),
        _ => Cover::Command(command.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_covers_the_same_program_and_subcommand_at_most() {
        for (command, covered) in [
            ("cargo test", "cargo test"),
            (" cargo\ttest --lib 'a b' *.rs", "cargo test"),
            ("git log -3", "git log"),
            ("/usr/bin/git log", "/usr/bin/git log"),
            ("npm audit", "npm audit"),
            ("echo one", "echo"),
            ("ls", "ls"),
        ] {
            assert_eq!(
                cover(command),
                Cover::Commands(covered.to_owned()),
                "{command}"
            );
        }
        for command in [
            "rm notes",
            "rm -rf build",
            "cargo +nightly test",
            "cargo run --example x",
            "npm run build",
            "docker exec box ls",
            "git -c alias.x=y log",
            "python3.12 manage",
            "./build.sh",
            "./echo -n",
            "find . -name x",
            "git Log",
            "git submodule foreach 'rm b'",
            "git bisect run ./x",
            "git rebase -x 'rm b' main",
            "docker compose exec box ls",
            "psql prod -c 'select 1'",
            "make test",
            "cat notes",
            "grep -r x .",
        ] {
            assert_eq!(cover(command), Cover::Command(command.to_owned()));
        }
        for command in [
            "",
            "echo a; rm b",
            "cargo test && rm b",
            "cargo test || rm b",
            "cargo test | sh",
            "cargo test & rm b",
            "cargo test\nrm b",
            "cargo test\rrm b",
            "cargo test $(rm b)",
            "cargo test `rm b`",
            "cargo test $HOME",
            "diff <(rm b) c",
            "echo a > b",
            "cat < b",
            "RUSTC=./x cargo test",
            "sudo cargo test",
            "/usr/bin/env cargo test",
            "xargs rm",
            "sh -c ls",
            "bash5 x",
            ". ./x",
            "if true",
            "! true",
            "{ ls",
            "\"rm\" b",
            "r\\m b",
            "~/x",
            "find . -exec rm {} +",
            "git rebase --exec=x main",
        ] {
            assert_eq!(cover(command), Cover::Call(None), "{command}");
        }
    }
}
