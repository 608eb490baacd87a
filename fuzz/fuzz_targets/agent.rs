//! The protocol of SSH agents, as builds and agents speak it.

#![no_main]

use build_deploy_fuzz::{
    agent::{Frames, Request, failure, request},
    bounded,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (cut, stream) = data.split_first().map_or((1, data), |(first, rest)| (usize::from(*first).max(1), rest));
    bounded(|| {
        let mut frames = Frames::default();
        'stream: for piece in stream.chunks(cut) {
            frames.push(piece);
            loop {
                match frames.take() {
                    Ok(Some(message)) => check(&message),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
        check(stream);
    });
});

/// What passes is what was sent, and nothing else does.
fn check(message: &[u8]) {
    let sign = Request::Sign { key: b"key", data: b"data", flags: 0 };
    if let Some(request) = request(message) {
        assert_eq!(request.encode().get(4..), Some(message));
    }
    for request in [Request::List, sign] {
        if let Ok(answer) = request.check(message) {
            assert!(answer == failure() || message.starts_with(&answer[4..]));
        }
    }
}
