//! What takes long is done apart from what is asked and answered.

/// Does it on a thread of its own; an error in words, also where that thread crashed.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> timeslip_suites::Result<T> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}
