//! The SSH agent protocol, reduced to what a build needs: listing keys and signing. Pure.
//!
//! Protocol: <https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent>. A message is its length in four bytes,
//! a byte with its type, and its contents. Neither the build nor the agent is trusted: requests and answers are parsed
//! and encoded again, and nothing else passes.

use thiserror::Error;

/// The longest message in bytes, without its length: the limit of OpenSSH's agent.
pub const LONGEST: usize = 256 << 10;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// Failures of the agents of ssh.com, which OpenSSH's clients accept too.
const OTHER_FAILURES: [u8; 2] = [30, 102];

/// Why bytes are not valid messages of the protocol.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProtocolError {
    /// A web server, such as a container engine's API.
    #[error("answered with HTTP, so it is not an SSH agent")]
    Http,
    /// Empty or longer than [`LONGEST`]. Text of another protocol is read as such a length too.
    #[error("sent a message of {0} bytes, which the SSH agent protocol does not allow")]
    Length(u32),
    /// The answer to another request.
    #[error("sent a message of type {0}, which does not answer the request")]
    Type(u8),
    /// An answer whose contents do not fit its type.
    #[error("sent an answer of type {0} that is malformed")]
    Malformed(u8),
    /// Bytes without a request.
    #[error("sent data without a request")]
    Unsolicited,
}

/// Splits bytes into messages, however they arrive.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// How many of the bytes belong to messages that [`Frames::take`] returned.
    taken: usize,
}

impl Frames {
    /// Adds bytes. If all complete messages are taken before, at most one message is kept in memory.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete message without its length, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// The length is invalid, so the next message cannot be found.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, ProtocolError> {
        let Some((length, rest)) = self.bytes.get(self.taken..).and_then(<[u8]>::split_first_chunk) else {
            return Ok(None);
        };
        if length == b"HTTP" {
            return Err(ProtocolError::Http);
        }
        let announced = u32::from_be_bytes(*length);
        let length = usize::try_from(announced).ok().filter(|length| (1..=LONGEST).contains(length));
        let length = length.ok_or(ProtocolError::Length(announced))?;
        let Some(message) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.taken += 4 + length;
        Ok(Some(message))
    }

    /// Whether no byte is left.
    pub fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

/// A request that may be forwarded to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Lists the public keys.
    List,
    /// Signs `data` with the private key that belongs to `key`.
    Sign {
        /// The public key.
        key: &'a [u8],
        /// The data to sign.
        data: &'a [u8],
        /// The hash that an RSA key signs with.
        flags: u32,
    },
}

/// Parses a request. `None` for every other request (adding and removing keys, locking, extensions) and for malformed
/// ones, which are answered with [`failure`].
pub fn request(message: &[u8]) -> Option<Request<'_>> {
    match message.split_first()? {
        (&REQUEST_IDENTITIES, []) => Some(Request::List),
        (&SIGN_REQUEST, rest) => {
            let (key, rest) = string(rest)?;
            let (data, rest) = string(rest)?;
            let flags = u32::from_be_bytes(rest.try_into().ok()?);
            Some(Request::Sign { key, data, flags })
        }
        _ => None,
    }
}

impl Request<'_> {
    /// The bytes of the request, with their length.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::List => frame(&[REQUEST_IDENTITIES]),
            Self::Sign { key, data, flags } => {
                let mut message = vec![SIGN_REQUEST];
                put(&mut message, key);
                put(&mut message, data);
                message.extend(flags.to_be_bytes());
                frame(&message)
            }
        }
    }

    /// Checks the agent's answer to the request, and encodes it again, with its length. Bytes after the defined contents are
    /// removed.
    ///
    /// # Errors
    /// The message does not answer this request.
    pub fn check(&self, answer: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let (&kind, rest) = answer.split_first().ok_or(ProtocolError::Length(0))?;
        let checked = match (self, kind) {
            (_, kind) if kind == FAILURE || OTHER_FAILURES.contains(&kind) => return Ok(failure()),
            (Self::List, IDENTITIES_ANSWER) => read_identities(rest).and_then(|keys| identities(&keys)),
            (Self::Sign { .. }, SIGN_RESPONSE) => string(rest).map(|(signature, _)| signed(signature)),
            _ => return Err(ProtocolError::Type(kind)),
        };
        checked.ok_or(ProtocolError::Malformed(kind))
    }
}

/// The answer to a request that failed, with its length.
pub fn failure() -> Vec<u8> {
    frame(&[FAILURE])
}

/// The answer with public keys and their comments, with its length. `None` if there are more keys than can be counted.
pub(super) fn identities<K: AsRef<[u8]>>(keys: &[(K, &[u8])]) -> Option<Vec<u8>> {
    let mut message = vec![IDENTITIES_ANSWER];
    message.extend(u32::try_from(keys.len()).ok()?.to_be_bytes());
    for (key, comment) in keys {
        put(&mut message, key.as_ref());
        put(&mut message, comment);
    }
    Some(frame(&message))
}

/// The answer with a signature, with its length.
pub(super) fn signed(signature: &[u8]) -> Vec<u8> {
    let mut message = vec![SIGN_RESPONSE];
    put(&mut message, signature);
    frame(&message)
}

fn read_identities(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let (count, mut rest) = bytes.split_first_chunk()?;
    let mut keys = Vec::new();
    // Every key takes bytes, so the loop ends with them, even if the count is wrong.
    for _ in 0..u32::from_be_bytes(*count) {
        let (key, behind) = string(rest)?;
        let (comment, behind) = string(behind)?;
        keys.push((key, comment));
        rest = behind;
    }
    Some(keys)
}

/// Parses a string of the protocol; returns it and the bytes after it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn put(bytes: &mut Vec<u8>, string: &[u8]) {
    // Keys, signatures and messages are far below 4 GiB.
    bytes.extend(u32::try_from(string.len()).unwrap_or_default().to_be_bytes());
    bytes.extend_from_slice(string);
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(4 + message.len());
    put(&mut framed, message);
    framed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{Frames, LONGEST, ProtocolError, Request, failure, frame, identities, put, request, signed};

    fn signing(key: &[u8], data: &[u8], rest: &[u8]) -> Vec<u8> {
        let mut message = vec![13];
        put(&mut message, key);
        put(&mut message, data);
        message.extend(rest);
        message
    }

    #[test]
    fn only_requests_to_list_and_to_sign_pass() {
        assert_eq!(request(&[11]), Some(Request::List));
        let sign = signing(b"key", b"data", &[0, 0, 0, 4]);
        assert_eq!(request(&sign), Some(Request::Sign { key: b"key", data: b"data", flags: 4 }));
        for kind in (0..=255).filter(|kind| ![11, 13].contains(kind)) {
            assert_eq!(request(&[kind]), None, "type {kind}");
            let with_contents: Vec<u8> = [kind].into_iter().chain(sign[1..].iter().copied()).collect();
            assert_eq!(request(&with_contents), None, "type {kind}");
        }
        for malformed in [
            &[][..],
            &[11, 0],
            &[13],
            &signing(b"key", b"data", &[0, 0, 4]),
            &signing(b"key", b"data", &[0, 0, 0, 4, 0]),
            &[13, 255, 255, 255, 255, 0],
        ] {
            assert_eq!(request(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn a_message_has_a_length_that_agents_allow() {
        let take = |bytes: &[u8]| {
            let mut frames = Frames::default();
            frames.push(bytes);
            frames.take()
        };
        assert_eq!(take(&[0, 0, 0]), Ok(None));
        assert_eq!(take(&[0, 0, 0, 2, 11]), Ok(None));
        assert_eq!(take(&[0, 0, 0, 0]), Err(ProtocolError::Length(0)));
        // The length alone decides, so that nothing is collected for a message that is too long.
        let longest = u32::try_from(LONGEST).unwrap();
        assert_eq!(take(&longest.to_be_bytes()), Ok(None));
        assert_eq!(take(&(longest + 1).to_be_bytes()), Err(ProtocolError::Length(longest + 1)));
        assert_eq!(take(b"HTTP/1.1 400 Bad Request\r\n"), Err(ProtocolError::Http));
        assert!(matches!(take(b"SSH-2.0-OpenSSH_9.9\r\n"), Err(ProtocolError::Length(_))));
    }

    #[test]
    fn answers_must_fit_their_request() {
        let sign = Request::Sign { key: b"key", data: b"data", flags: 0 };
        let keys = identities(&[(b"one", &b"comment"[..]), (b"two", b"")]).unwrap();
        assert_eq!(Request::List.check(&keys[4..]).as_ref(), Ok(&keys));
        assert_eq!(sign.check(&signed(b"signature")[4..]), Ok(signed(b"signature")));
        for kind in [5, 30, 102] {
            assert_eq!(Request::List.check(&[kind]), Ok(failure()));
            assert_eq!(sign.check(&[kind]), Ok(failure()));
        }
        assert_eq!(sign.check(&keys[4..]), Err(ProtocolError::Type(12)));
        assert_eq!(Request::List.check(&signed(b"signature")[4..]), Err(ProtocolError::Type(14)));
        // Success, as the answer to what was never asked for.
        assert_eq!(sign.check(&[6]), Err(ProtocolError::Type(6)));
        // More keys than there are bytes for, and a signature that is cut off.
        assert_eq!(Request::List.check(&[12, 255, 255, 255, 255, 0]), Err(ProtocolError::Malformed(12)));
        assert_eq!(sign.check(&[14, 0, 0, 0, 9, 1]), Err(ProtocolError::Malformed(14)));
        let with_tail: Vec<u8> = keys[4..].iter().copied().chain(*b"tail").collect();
        assert_eq!(Request::List.check(&with_tail), Ok(keys), "what follows the keys is removed");
    }

    #[test]
    fn many_small_messages_take_time_in_proportion() {
        let mut frames = Frames::default();
        frames.push(&[0, 0, 0, 1, 11].repeat(800_000));
        let started = std::time::Instant::now();
        let mut count = 0;
        while let Some(message) = frames.take().unwrap() {
            assert_eq!(message, [11]);
            count += 1;
        }
        assert_eq!(count, 800_000);
        assert!(frames.is_empty());
        assert!(started.elapsed().as_secs() < 20, "moving the rest for each message takes minutes");
    }

    proptest! {
        #[test]
        fn messages_survive_however_they_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            piece in 1_usize..50,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(piece) {
                frames.push(piece);
                while let Some(message) = frames.take().unwrap() {
                    found.push(message);
                }
            }
            prop_assert!(frames.is_empty());
            prop_assert_eq!(found, messages);
        }

        #[test]
        fn a_request_that_passes_is_what_was_asked(message in any::<Vec<u8>>(), data in any::<Vec<u8>>()) {
            for message in [&message, &signing(&message, &data, &[0, 0, 0, 2])] {
                if let Some(request) = request(message) {
                    prop_assert_eq!(&request.encode()[4..], &message[..]);
                }
            }
        }

        #[test]
        fn an_answer_that_passes_is_a_part_of_what_the_agent_said(kind in 5_u8..16, rest in any::<Vec<u8>>()) {
            let answer: Vec<u8> = [kind].into_iter().chain(rest).collect();
            for request in [Request::List, Request::Sign { key: b"", data: b"", flags: 0 }] {
                if let Ok(checked) = request.check(&answer) {
                    prop_assert!(answer.starts_with(&checked[4..]));
                }
            }
        }
    }
}
