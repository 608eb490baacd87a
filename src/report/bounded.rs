//! A buffer for lines with limited memory.

use std::collections::VecDeque;

use super::human;

/// Keeps lines up to a number of bytes. If there are more, those in the middle are dropped and counted: the beginning shows
/// what was done, the end shows what went wrong.
#[derive(Debug)]
pub struct BoundedLines {
    half: usize,
    head: Vec<String>,
    head_bytes: usize,
    tail: VecDeque<String>,
    tail_bytes: usize,
    omitted: usize,
}

impl BoundedLines {
    /// Creates a buffer for `bytes` of text.
    pub fn new(bytes: usize) -> Self {
        let half = bytes / 2;
        Self { half, head: Vec::new(), head_bytes: 0, tail: VecDeque::new(), tail_bytes: 0, omitted: 0 }
    }

    /// Adds a line. A line longer than half of the buffer is cut.
    pub fn push(&mut self, mut line: String) {
        let mut end = line.len().min(self.half);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        // An empty line needs memory too.
        let size = line.len() + 1;
        if self.tail.is_empty() && self.head_bytes + size <= self.half {
            self.head_bytes += size;
            self.head.push(line);
            return;
        }
        self.tail_bytes += size;
        self.tail.push_back(line);
        while self.tail_bytes > self.half + 1 {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= oldest.len() + 1;
            self.omitted += 1;
        }
    }

    /// The lines, with a placeholder for those that were dropped.
    pub fn into_lines(self) -> impl Iterator<Item = String> {
        let gap = (self.omitted > 0).then(|| format!("… {} omitted …", human::count(self.omitted, "line")));
        self.head.into_iter().chain(gap).chain(self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::BoundedLines;

    #[test]
    fn leaves_out_the_middle_and_says_so() {
        let mut kept = BoundedLines::new(40);
        for number in 0..100 {
            kept.push(format!("line {number:02}"));
        }
        let lines: Vec<String> = kept.into_lines().collect();
        assert_eq!(lines, ["line 00", "line 01", "… 96 lines omitted …", "line 98", "line 99"]);
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        for line in [String::new(), "é".repeat(1000), "x".repeat(19)] {
            let mut kept = BoundedLines::new(40);
            for _ in 0..1000 {
                kept.push(line.clone());
            }
            assert!(kept.head_bytes <= 20 && kept.tail_bytes <= 21);
            assert!(kept.into_lines().count() < 50);
        }
    }

    #[test]
    fn few_lines_stay_whole() {
        let mut kept = BoundedLines::new(100);
        kept.push("a".into());
        kept.push("b".into());
        assert_eq!(kept.into_lines().collect::<Vec<_>>(), ["a", "b"]);
    }
}
