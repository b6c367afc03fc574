//! Byte chunks to lines, wherever the chunks are cut.

/// The longest line that is read, in bytes; a server that sends more is broken.
const LONGEST: usize = 16 << 20;

/// Collects chunks until a line is complete.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    /// The last line ended in a carriage return, which a line feed may belong to.
    returned: bool,
    begun: bool,
}

impl Lines {
    /// Adds a chunk and returns the lines that it completes, without their ends, which are those of server-sent events: LF, CR or both.
    ///
    /// Only whole lines are decoded, so a chunk may end inside a character.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let mut chunk = chunk;
        if std::mem::take(&mut self.returned) {
            self.returned = chunk.is_empty();
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        while let Some(end) = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.rest.extend_from_slice(&chunk[..end]);
            lines.push(self.line());
            let (found, after) = (chunk[end], &chunk[end + 1..]);
            self.returned = found == b'\r' && after.is_empty();
            chunk = match found {
                b'\r' => after.strip_prefix(b"\n").unwrap_or(after),
                _ => after,
            };
        }
        self.rest.extend_from_slice(chunk);
        if self.rest.len() > LONGEST {
            return Err(format!("a line is longer than {} MiB", LONGEST >> 20));
        }
        Ok(lines)
    }

    /// Returns the last line, if it had no end.
    pub fn finish(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.line())
    }

    fn line(&mut self) -> String {
        let bytes = std::mem::take(&mut self.rest);
        let mut line = String::from_utf8_lossy(&bytes).into_owned();
        if !std::mem::replace(&mut self.begun, true) && line.starts_with('\u{feff}') {
            line.remove(0);
        }
        // Some servers show that they are alive with these.
        if line.contains('\0') {
            line.retain(|c| c != '\0');
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_wherever_the_bytes_are_cut() {
        let text = "\u{feff}naïve\r\n\n東京 🦀\rx\0y\r\r\nno end";
        let expected = ["naïve", "", "東京 🦀", "xy", "", "no end"];
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            let mut all = lines.push(&text.as_bytes()[..cut]).unwrap();
            all.extend(lines.push(b"").unwrap());
            all.extend(lines.push(&text.as_bytes()[cut..]).unwrap());
            all.extend(lines.finish());
            assert_eq!(all, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; 1 << 20];
        assert!((0..17).any(|_| lines.push(&chunk).is_err()));
    }

    #[test]
    fn spoilt_bytes_do_no_harm() {
        crate::mutate::each(
            &["a line\nand another\r\n", "{\"a\":1}\n\n東京 🦀\n"],
            |text| {
                let mut bytes = text.as_bytes().to_vec();
                bytes.push(0xff);
                let mut lines = Lines::default();
                let mut all = String::new();
                for chunk in bytes.chunks(7) {
                    all.extend(lines.push(chunk).unwrap());
                }
                all.extend(lines.finish());
                assert!(all.ends_with('\u{fffd}'), "{text:?}");
            },
        );
    }
}
