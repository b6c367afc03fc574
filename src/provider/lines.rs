//! Byte chunks to lines, wherever the chunks are cut.

/// The longest line that is read, in bytes; a server that sends more is broken.
const LONGEST: usize = 16 << 20;

/// Collects chunks until a line is complete.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Adds a chunk and returns the lines that it completes, without their ends.
    ///
    /// Only whole lines are decoded, so a chunk may end inside a character.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let mut chunk = chunk;
        while let Some(end) = chunk.iter().position(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(&chunk[..end]);
            lines.push(decode(&std::mem::take(&mut self.rest)));
            chunk = &chunk[end + 1..];
        }
        self.rest.extend_from_slice(chunk);
        if self.rest.len() > LONGEST {
            return Err(format!("a line is longer than {} MiB", LONGEST >> 20));
        }
        Ok(lines)
    }

    /// Returns the last line, if it had no end.
    pub fn finish(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| decode(&std::mem::take(&mut self.rest)))
    }
}

fn decode(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_wherever_the_bytes_are_cut() {
        let text = "naïve\r\n\n東京 🦀\nno end";
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            let mut all = lines.push(&text.as_bytes()[..cut]).unwrap();
            all.extend(lines.push(&text.as_bytes()[cut..]).unwrap());
            all.extend(lines.finish());
            assert_eq!(all, ["naïve", "", "東京 🦀", "no end"], "cut at {cut}");
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
