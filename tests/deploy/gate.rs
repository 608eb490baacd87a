//! A way to a server of the lab that a test can close.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinHandle},
};

/// Forwards connections to a server.
pub(super) struct Gate {
    pub(super) port: u16,
    listener: JoinHandle<()>,
    open: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Gate {
    /// A gate at this address, to that server.
    pub(super) async fn new(address: &str, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let streams = open.clone();
        let listener = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let stream = tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(server).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
                streams.lock().unwrap().push(stream.abort_handle());
            }
        });
        Self { port, listener, open }
    }

    /// How many connections are open.
    pub(super) fn streams(&self) -> usize {
        self.open.lock().unwrap().iter().filter(|stream| !stream.is_finished()).count()
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.open.lock().unwrap().drain(..).for_each(|stream| stream.abort());
    }

    /// Ends all connections and takes no more.
    pub(super) fn close(&self) {
        self.listener.abort();
        self.cut();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
    }
}
