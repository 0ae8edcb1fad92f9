//! The interface `data-plane`: transfers of bytes with few conversions.

use sandsock::errno;
use sandsock::raw::{descriptors::Descriptor, files::File, types::Wait};

use crate::Provider;
use crate::contract::data_plane::{Guest, Operation};
use crate::contract::sockets::{Error, Progress, SocketBorrow};
use crate::error::{os_error, waiting};
use crate::sockets::Socket;

impl Guest for Provider {
    fn handle(s: SocketBorrow<'_>) -> Result<Descriptor, Error> {
        Ok(s.get::<Socket>().0.alias()?)
    }

    fn plan(
        s: SocketBorrow<'_>,
        operation: Operation,
        resume: Option<Progress>,
    ) -> Result<Wait, Error> {
        let whole = matches!(operation, Operation::Sendall);
        Ok(s.get::<Socket>().0.plan(whole, resume.map(sandsock::Progress::from))?)
    }

    fn sendfile(
        s: SocketBorrow<'_>,
        source: &File,
        offset: i64,
        count: Option<i64>,
        resume: Option<Progress>,
    ) -> Result<u64, Error> {
        let offset = u64::try_from(offset).map_err(|_| os_error(errno::EINVAL))?;
        // The crate refuses 0, as Python refuses every number below 1.
        let count = count.map(|count| u64::try_from(count).unwrap_or(0));
        waiting(resume, || s.get::<Socket>().0.sendfile_raw(source, offset, count))
    }
}
