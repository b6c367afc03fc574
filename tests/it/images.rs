//! What a power cut leaves: the writes of a run as `strace` sees them are done again on a copy, up to one of them, and what nobody had
//! brought to the disk by then is lost.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::forget::{all_or_nothing, copy, quoted};
use crate::harness::{Home, left_out, say};

const CALLS: &str = "open,openat,creat,write,pwrite64,rename,renameat,renameat2,link,linkat,unlink,unlinkat,ftruncate,fsync,fdatasync";

/// Holds a file: what was written, and what of it is on the disk.
#[derive(Default, Clone)]
struct File {
    written: Vec<u8>,
    durable: Vec<u8>,
}

/// Holds the files below a folder while their writes are done again.
#[derive(Clone)]
struct Disk {
    root: PathBuf,
    files: Vec<File>,
    /// Which file a name is, and which it is on the disk.
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// The open files: which file, where the next write goes, and whether that is its end.
    open: HashMap<String, (usize, usize, bool)>,
}

impl Disk {
    fn new(root: &Path) -> Disk {
        let mut disk = Disk {
            root: root.to_owned(),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            open: HashMap::new(),
        };
        let mut left = vec![root.to_owned()];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                let entries = fs::read_dir(path).unwrap();
                left.extend(entries.map(|entry| entry.unwrap().path()));
            } else {
                let bytes = fs::read(&path).unwrap();
                disk.names.insert(path, disk.files.len());
                disk.files.push(File {
                    written: bytes.clone(),
                    durable: bytes,
                });
            }
        }
        disk.durable.clone_from(&disk.names);
        disk
    }

    /// Does one call again. Returns whether a power cut after it may leave something else than before it.
    fn apply(&mut self, call: &Call) -> bool {
        let path = |at: usize| call.texts.get(at).map(PathBuf::from);
        let below = |path: &Option<PathBuf>| {
            path.as_ref()
                .is_some_and(|path| path.starts_with(&self.root))
        };
        match call.name.as_str() {
            "open" | "openat" | "creat" if below(&path(0)) => {
                let Some(path) = path(0).filter(|path| !path.is_dir()) else {
                    return false;
                };
                let known = self.names.get(&path).copied();
                let file = known.unwrap_or_else(|| {
                    self.files.push(File::default());
                    self.files.len() - 1
                });
                if call.arguments.contains("O_TRUNC") {
                    self.files[file].written.clear();
                }
                self.names.insert(path, file);
                let appends = call.arguments.contains("O_APPEND");
                self.open.insert(call.result.clone(), (file, 0, appends));
                known.is_none()
            }
            // A descriptor of something else has its number now.
            "open" | "openat" | "creat" => {
                self.open.remove(&call.result);
                false
            }
            "write" | "pwrite64" => {
                let Some((file, at, appends)) = self.open.get_mut(call.descriptor()) else {
                    return false;
                };
                let written = &mut self.files[*file].written;
                let bytes = &call.bytes;
                let from = match call.name.as_str() {
                    _ if *appends => written.len(),
                    "write" => *at,
                    _ => call.last_number(),
                };
                written.resize(written.len().max(from + bytes.len()), 0);
                written[from..from + bytes.len()].copy_from_slice(bytes);
                *at = from + bytes.len();
                false
            }
            "ftruncate" => {
                if let Some((file, ..)) = self.open.get(call.descriptor()) {
                    self.files[*file].written.resize(call.last_number(), 0);
                }
                false
            }
            "rename" | "renameat" | "renameat2" if below(&path(0)) => {
                let (from, to) = (path(0).unwrap(), path(1).unwrap());
                let moved = self.names.remove(&from);
                moved.map(|file| self.names.insert(to, file));
                true
            }
            "link" | "linkat" if below(&path(0)) => {
                let file = self.names[&path(0).unwrap()];
                self.names.insert(path(1).unwrap(), file);
                true
            }
            "unlink" | "unlinkat" => {
                let path = path(0).map(|path| call.folder().unwrap_or_default().join(path));
                path.and_then(|path| self.names.remove(&path)).is_some()
            }
            "fsync" | "fdatasync" => self.sync(call),
            _ => false,
        }
    }

    fn sync(&mut self, call: &Call) -> bool {
        let place = call.place().unwrap_or_default();
        if let Some(file) = self.names.get(&place) {
            let file = &mut self.files[*file];
            let changed = file.durable != file.written;
            file.durable.clone_from(&file.written);
            return changed;
        }
        // A folder: the names in it are on the disk now.
        let is_in = |path: &PathBuf| path.parent() == Some(&*place);
        let before = self.durable.clone();
        self.durable.retain(|path, _| !is_in(path));
        let names = self.names.iter().filter(|(path, _)| is_in(path));
        self.durable
            .extend(names.map(|(path, file)| (path.clone(), *file)));
        self.durable != before
    }

    /// Writes what a power cut leaves into a folder. The system may have brought names to the disk before anyone asked, or not.
    fn write(&self, folder: &Path, eager: bool) {
        let names = if eager { &self.names } else { &self.durable };
        for (path, file) in names {
            let path = folder.join(path.strip_prefix(&self.root).unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &self.files[*file].durable).unwrap();
        }
    }
}

/// Is one line of `strace -f -y -xx`.
struct Call {
    name: String,
    arguments: String,
    result: String,
    /// What stands between double quotes: paths; of writes, the bytes.
    texts: Vec<String>,
    bytes: Vec<u8>,
}

impl Call {
    fn parse(line: &str) -> Option<Call> {
        let (name, rest) = line.split_once('(')?;
        let (arguments, result) = rest.rsplit_once(" = ")?;
        if result.starts_with('-') {
            return None;
        }
        let quoted: Vec<Vec<u8>> = arguments.split('"').skip(1).step_by(2).map(bytes).collect();
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Some(Call {
            name: name.to_owned(),
            texts: quoted.iter().map(text).collect(),
            bytes: quoted.into_iter().next().unwrap_or_default(),
            result: result.split(['<', ' ']).next()?.to_owned(),
            arguments: arguments.to_owned(),
        })
    }

    fn descriptor(&self) -> &str {
        self.arguments
            .split(['<', ',', ')'])
            .next()
            .unwrap_or_default()
    }

    /// Returns what the first descriptor is.
    fn place(&self) -> Option<PathBuf> {
        let place = self.arguments.split_once('<')?.1.split_once('>')?.0;
        Some(String::from_utf8_lossy(&bytes(place)).into_owned().into())
    }

    /// Returns the folder that a path is relative to.
    fn folder(&self) -> Option<PathBuf> {
        (self.name == "unlinkat").then(|| self.place())?
    }

    fn last_number(&self) -> usize {
        let last = self.arguments.rsplit(", ").next().unwrap_or_default();
        last.trim_end_matches(')').parse().unwrap_or_default()
    }
}

/// Reads `\x68\x69`; what is not written so stands for itself.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        rest = match others {
            [b'x', high, low, after @ ..] if *first == b'\\' => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                after
            }
            _ => {
                bytes.push(*first);
                others
            }
        };
    }
    bytes
}

/// Returns the calls in the order in which they ended.
fn calls(log: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, line)) = line.split_once(' ') else {
            continue;
        };
        let line = line.trim_start();
        if let Some(first) = line.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, first);
        } else if let Some((_, rest)) = line.split_once(" resumed>") {
            let whole = format!("{}{rest}", begun.remove(thread).unwrap_or_default());
            calls.extend(Call::parse(&whole));
        } else {
            calls.extend(Call::parse(line));
        }
    }
    calls
}

// Finding H2.
#[test]
fn a_power_cut_leaves_all_of_what_is_forgotten_or_nothing() {
    if Command::new("strace").arg("-V").output().is_err() {
        left_out("there is no strace to see the writes with");
        return;
    }
    let (home, id, whole) = quoted();
    let traced = Home::new();
    copy(home.path(), traced.path());
    let mut disk = Disk::new(traced.path());
    let log = traced.folder().join("log");
    let run = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-xx",
            "-s",
            "100000000",
            "-e",
            &format!("trace={CALLS}"),
            "-o",
        ])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_allm"))
        .args(["forget", &id, "--yes", "--no-backup"])
        .env("ALLM_HOME", traced.path())
        .env("ALLM_USER", "alice")
        .output()
        .unwrap();
    if !run.status.success() && !log.exists() {
        left_out("strace may not trace here");
        return;
    }
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let calls = calls(&fs::read_to_string(&log).unwrap());
    // Where a power cut may leave something new, twice: names may be on the disk or not.
    let mut counted = disk.clone();
    let all = 2 * calls.iter().filter(|call| counted.apply(call)).count();
    assert!(all > 100, "only {all} writes were seen");
    let every = std::env::var_os("ALLM_SLOW_TESTS").is_some();
    let step = if every { 1 } else { all / 6 };
    let (mut there, mut tried, mut number) = (0, 0, 0);
    for call in &calls {
        if !disk.apply(call) {
            continue;
        }
        for eager in [true, false] {
            number += 1;
            if (number - 1) % step > 0 {
                continue;
            }
            let image = Home::new();
            disk.write(image.path(), eager);
            let fixed = image.allm().args(["doctor", "--fix", "--yes"]).run();
            assert_eq!(
                fixed.status,
                0,
                "after {} {:?}, eager {eager}: {}{}",
                call.name,
                call.texts.first(),
                fixed.stdout,
                fixed.stderr
            );
            there += usize::from(all_or_nothing(&image, &whole));
            tried += 1;
        }
    }
    say(&format!(
        "{tried} of {all} images: all of it is there in {there}, nothing in the others"
    ));
    assert!(there > 0 && there < tried);
    // What was written again is what was written.
    let last = Home::new();
    let files = disk.files.iter_mut();
    files.for_each(|file| file.durable.clone_from(&file.written));
    disk.write(last.path(), true);
    assert!(!all_or_nothing(&last, &whole));
}
