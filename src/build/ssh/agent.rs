//! An SSH agent that holds keys and signs with them, and does nothing else.
//!
//! Protocol: <https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent>. A message is its length in four bytes, a
//! byte that says what it is, and the rest.

use signature::Signer as _;
use ssh_key::{HashAlg, PrivateKey, Signature, private::KeypairData};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// What an RSA key signs with; without either, SHA-1, which we do not do.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;
/// What OpenSSH's own agent takes.
const LONGEST: usize = 256 << 10;

/// One client's talk with the agent.
pub(super) struct Conversation<'a> {
    keys: &'a [PrivateKey],
    heard: Vec<u8>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(keys: &'a [PrivateKey]) -> Self {
        Self { keys, heard: Vec::new() }
    }

    /// Takes in what the client says, which may be parts of messages or several of them, and returns what is to be
    /// answered. `None` if the client cannot be understood and is to be hung up on.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.heard.extend_from_slice(bytes);
        let mut answers = Vec::new();
        while let Some((length, rest)) = self.heard.split_first_chunk() {
            let length =
                usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| (1..=LONGEST).contains(length))?;
            let Some(message) = rest.get(..length) else { break };
            put(&mut answers, &self.answer(message));
            self.heard.drain(..4 + length);
        }
        Some(answers)
    }

    fn answer(&self, message: &[u8]) -> Vec<u8> {
        let answer = match message.split_first() {
            Some((&REQUEST_IDENTITIES, _)) => self.identities(),
            Some((&SIGN_REQUEST, rest)) => self.sign(rest),
            _ => None,
        };
        answer.unwrap_or_else(|| vec![FAILURE])
    }

    fn identities(&self) -> Option<Vec<u8>> {
        let mut answer = vec![IDENTITIES_ANSWER];
        answer.extend(u32::try_from(self.keys.len()).ok()?.to_be_bytes());
        for key in self.keys {
            put(&mut answer, &key.public_key().to_bytes().ok()?);
            put(&mut answer, key.comment().as_bytes());
        }
        Some(answer)
    }

    fn sign(&self, request: &[u8]) -> Option<Vec<u8>> {
        let (blob, rest) = take(request)?;
        let (data, rest) = take(rest)?;
        let flags = u32::from_be_bytes(*rest.first_chunk()?);
        let key = self.keys.iter().find(|key| key.public_key().to_bytes().is_ok_and(|own| own == blob))?;
        let mut answer = vec![SIGN_RESPONSE];
        put(&mut answer, &Vec::try_from(signature(key, data, flags)?).ok()?);
        Some(answer)
    }
}

fn signature(key: &PrivateKey, data: &[u8], flags: u32) -> Option<Signature> {
    match key.key_data() {
        KeypairData::Rsa(pair) => {
            let hash = match flags {
                flags if flags & RSA_SHA2_512 != 0 => HashAlg::Sha512,
                flags if flags & RSA_SHA2_256 != 0 => HashAlg::Sha256,
                _ => return None,
            };
            (pair, Some(hash)).try_sign(data).ok()
        }
        _ => key.try_sign(data).ok(),
    }
}

/// A string of the protocol and what comes behind it.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn put(bytes: &mut Vec<u8>, string: &[u8]) {
    // Keys and signatures are far below 4 GiB.
    bytes.extend(u32::try_from(string.len()).unwrap_or_default().to_be_bytes());
    bytes.extend_from_slice(string);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};
    use ssh_key::{PrivateKey, private::Ed25519Keypair};

    use super::{Conversation, FAILURE};

    #[test]
    fn knows_only_what_a_build_needs() {
        let keys = [PrivateKey::from(Ed25519Keypair::from_seed(&[1; 32]))];
        let mut conversation = Conversation::new(&keys);
        // A request in two pieces, then one to add a key, one to lock and an empty signature request.
        assert_eq!(conversation.hear(&[0, 0, 0]), Some(vec![]));
        let listed = conversation.hear(&[1, 11]).unwrap();
        assert_eq!(listed[4..9], [12, 0, 0, 0, 1]);
        for kind in [17, 22, 13] {
            assert_eq!(conversation.hear(&[0, 0, 0, 1, kind]), Some(vec![0, 0, 0, 1, FAILURE]));
        }
        assert_eq!(conversation.hear(&[255, 0, 0, 0]), None, "no length of a message");
    }

    proptest! {
        #[test]
        fn no_client_is_too_odd(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..8), tail in any::<Vec<u8>>()) {
            let keys = [PrivateKey::from(Ed25519Keypair::from_seed(&[1; 32]))];
            let mut conversation = Conversation::new(&keys);
            let mut sign = vec![13];
            sign.extend(tail);
            let mut message = Vec::new();
            super::put(&mut message, &sign);
            for piece in pieces.iter().chain([&message]) {
                if conversation.hear(piece).is_none() {
                    break;
                }
            }
        }
    }
}
