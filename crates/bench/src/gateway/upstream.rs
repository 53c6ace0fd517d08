//! x
pub(crate) fn serve(_: std::net::SocketAddr) -> Result<(), crate::error::BenchError> {
    Ok(())
}
