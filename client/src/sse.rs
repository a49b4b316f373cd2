//! Reading server-sent events as they come, in pieces that end anywhere.

/// A message is not taken beyond this: a server sends far smaller ones.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// `event:`; empty where it has none.
    pub(crate) name: String,
    /// The last `id:` so far, of this message or an earlier one.
    pub(crate) id: Option<u64>,
    /// `data:`, its lines joined; empty where only a place was told.
    pub(crate) data: String,
}

/// Puts messages together.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    rest: Vec<u8>,
    id: Option<u64>,
}

/// A message that is larger than any that a server sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Reader {
    /// Takes a piece of the stream.
    pub(crate) fn put(&mut self, piece: &[u8]) -> Result<(), TooLarge> {
        self.rest.extend_from_slice(piece);
        if self.rest.len() > MESSAGE_BYTES_MAX && end(&self.rest).is_none() {
            return Err(TooLarge);
        }
        Ok(())
    }

    /// The next whole message; one of comments only has no name and no data.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let end = end(&self.rest)?;
        let block: Vec<u8> = self.rest.drain(..end + 2).collect();
        let mut message = Message::default();
        for line in String::from_utf8_lossy(&block).lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut message.name),
                "id" => self.id = value.parse().ok().or(self.id),
                "data" if message.data.is_empty() => value.clone_into(&mut message.data),
                "data" => {
                    message.data.push('\n');
                    message.data.push_str(value);
                }
                // A comment, or a field that this version does not know.
                _ => {}
            }
        }
        message.id = self.id;
        Some(message)
    }
}

fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|two| two == b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_pieces_that_end_anywhere() {
        let text = b": resumed\n\nevent: change\nid: 7\ndata: {\"a\":1}\n\n: alive\nid: 9\n\nevent: cha";
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let mut all = Vec::new();
            for piece in text.chunks(size) {
                reader.put(piece).unwrap();
                while let Some(message) = reader.next() {
                    all.push((message.name, message.id, message.data));
                }
            }
            let expected = [
                (String::new(), None, String::new()),
                ("change".to_owned(), Some(7), "{\"a\":1}".to_owned()),
                (String::new(), Some(9), String::new()),
            ];
            assert_eq!(all, expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_message_without_an_end_is_not_kept_for_ever() {
        let mut reader = Reader::default();
        assert_eq!(reader.put(&vec![b'a'; MESSAGE_BYTES_MAX + 1]), Err(TooLarge));
    }
}
