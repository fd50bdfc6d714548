//! Telling a script's answer from whatever else comes out of the same channel.
//!
//! A login shell may print before the script does, and the channel may end at any point. So the answer lies between two
//! lines, `@<nonce> begin` and `@<nonce> end <status>`, with a nonce that is made for each exchange.

/// One output of a script, as far as it was read.
#[derive(Debug)]
pub(super) struct Framed {
    begin: Vec<u8>,
    end: Vec<u8>,
    bytes: Vec<u8>,
    /// Where the answer begins in `bytes`.
    from: Option<usize>,
    /// Where it ends, and with which status.
    to: Option<(usize, String)>,
    /// How far `bytes` was searched.
    searched: usize,
}

impl Framed {
    pub(super) fn new(nonce: &str) -> Self {
        let mark = |what| format!("\n@{nonce} {what}").into_bytes();
        Self { begin: mark("begin\n"), end: mark("end "), bytes: Vec::new(), from: None, to: None, searched: 0 }
    }

    /// Takes in what was read next; more than the end of the answer is not looked at.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.from.is_none()
            && let Some(at) = self.search(&self.begin)
        {
            self.from = Some(at + self.begin.len());
            // The mark of the end begins with a newline of its own.
            self.searched = at + self.begin.len();
        }
        if self.from.is_some()
            && self.to.is_none()
            && let Some(at) = self.search(&self.end)
        {
            let line = &self.bytes[at + self.end.len()..];
            match line.iter().position(|byte| *byte == b'\n') {
                Some(newline) => self.to = Some((at, String::from_utf8_lossy(&line[..newline]).into_owned())),
                None => self.searched = at,
            }
        } else {
            let mark = if self.from.is_some() { &self.end } else { &self.begin };
            self.searched = self.searched.max((self.bytes.len() + 1).saturating_sub(mark.len()));
        }
    }

    fn search(&self, mark: &[u8]) -> Option<usize> {
        let unseen = self.bytes.get(self.searched..)?;
        unseen.windows(mark.len()).position(|window| window == mark).map(|at| at + self.searched)
    }

    /// The status that the script ended with, once it has.
    pub(super) fn status(&self) -> Option<&str> {
        self.to.as_ref().map(|(_, status)| status.as_str())
    }

    /// Whether the script has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.from.is_some()
    }

    /// How many bytes are held.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What lies between the marks, so far.
    pub(super) fn into_answer(mut self) -> Vec<u8> {
        let Some(from) = self.from else { return Vec::new() };
        let to = self.to.map_or(self.bytes.len(), |(to, _)| to);
        self.bytes.truncate(to);
        self.bytes.drain(..from);
        self.bytes
    }

    /// Everything, for a message about an answer that did not come.
    pub(super) fn everything(&self) -> &[u8] {
        &self.bytes
    }
}

/// Splits an answer into its records: the line after the mark, and what belongs to it.
pub(super) fn records<'a>(answer: &'a [u8], nonce: &str) -> Vec<(&'a str, &'a [u8])> {
    let mark = format!("\n@{nonce} ").into_bytes();
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(found) = answer[at..].windows(mark.len()).position(|window| window == mark) {
        at += found + mark.len();
        starts.push(at);
    }
    let ends = starts.iter().skip(1).map(|start| start - mark.len()).chain([answer.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| {
            let record = &answer[*start..end];
            let newline = record.iter().position(|byte| *byte == b'\n')?;
            Some((std::str::from_utf8(&record[..newline]).ok()?, &record[newline + 1..]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]]) -> Framed {
        let mut framed = Framed::new("n");
        for chunk in chunks {
            framed.push(chunk);
        }
        framed
    }

    #[test]
    fn noise_before_and_after_is_not_the_answer() {
        let framed = read(&[b"Welcome!\n\n@n begin\nhello\n@n end 0\nbye"]);
        assert_eq!(framed.status(), Some("0"));
        assert_eq!(framed.into_answer(), b"hello");
    }

    #[test]
    fn an_answer_without_an_end_has_no_status() {
        let framed = read(&[b"\n@n begin\nhel", b"lo\n@n end 1"]);
        assert_eq!(framed.status(), None);
        assert_eq!(read(&[b"sh: not found\n"]).into_answer(), b"");
    }

    #[test]
    fn records_hold_any_bytes() {
        let answer = b"\n@n file 644 /x\n\xff\n\n@n none\n\n@other end 0\n\n@n size 7\n";
        let records = records(answer, "n");
        assert_eq!(records, [("file 644 /x", &b"\xff\n"[..]), ("none", b"\n@other end 0\n"), ("size 7", b"")]);
    }

    proptest! {
        #[test]
        fn wherever_the_stream_is_cut(content: Vec<u8>, noise in "[a-z\n@]{0,20}", cut in 0usize..200, step in 1usize..9) {
            let mut stream = noise.into_bytes();
            stream.extend(b"\n@n begin\n");
            stream.extend(&content);
            stream.extend(b"\n@n end 42\n");
            let (head, tail) = stream.split_at(cut.min(stream.len()));
            let mut framed = Framed::new("n");
            framed.push(head);
            tail.chunks(step).for_each(|chunk| framed.push(chunk));
            prop_assert_eq!(framed.status(), Some("42"));
            prop_assert_eq!(framed.into_answer(), content);
        }
    }
}
