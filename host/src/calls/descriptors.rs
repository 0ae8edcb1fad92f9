//! Descriptors: their kind, and how they are duplicated, aliased, inherited and adopted.

use rustix::io::Errno;
use wasmtime::component::Resource;

use crate::bindings::sandsock::socket::descriptors;
use crate::bindings::sandsock::socket::types::DescriptorKind;
use crate::ctx::SandsockCtxView;
use crate::descriptor::{Descriptor, Handle};
use crate::error::CallResult;
use crate::sys;
use sandsock_policy::{DescriptorNumber, Request};

impl descriptors::HostDescriptor for SandsockCtxView<'_> {
    fn drop(&mut self, d: Resource<Descriptor>) -> wasmtime::Result<()> {
        if let Some(handle) = self.table.delete(d)?.into_handle() {
            handle.retire();
        }
        Ok(())
    }
}

impl descriptors::Host for SandsockCtxView<'_> {
    fn kind(&mut self, d: Resource<Descriptor>) -> CallResult<DescriptorKind> {
        Ok(self.referred(&d)?.open.kind)
    }

    fn number(&mut self, d: Resource<Descriptor>) -> wasmtime::Result<Option<i32>> {
        use std::os::fd::AsRawFd;
        let real = self.ctx.real_numbers;
        let handle = self.table.get(&d)?.handle();
        Ok(handle.ok().filter(|_| real).map(|handle| handle.fd().as_raw_fd()))
    }

    fn duplicate(&mut self, d: Resource<Descriptor>) -> CallResult<Resource<Descriptor>> {
        self.room_for(1)?;
        let copy = self.handle(&d)?.duplicate()?;
        self.push(copy)
    }

    fn alias(&mut self, d: Resource<Descriptor>) -> CallResult<Resource<Descriptor>> {
        let handle = self.handle(&d)?;
        let place = self.ctx.descriptor_quota.take()?;
        Ok(self.table.push(Descriptor::alias(&handle, place))?)
    }

    fn revoke_aliases(&mut self, d: Resource<Descriptor>) -> wasmtime::Result<()> {
        if let Ok(handle) = self.table.get(&d)?.handle() {
            handle.revoke_aliases();
        }
        Ok(())
    }

    fn inherited(&mut self) -> wasmtime::Result<Vec<i32>> {
        Ok(self.ctx.inheritance.numbers())
    }

    fn inherit(&mut self, number: i32) -> CallResult<Resource<Descriptor>> {
        if !self.ctx.inheritance.has(number) {
            return Err(Errno::BADF.into());
        }
        self.ctx.gate.decide(&Request::Inherit(DescriptorNumber(number)))?;
        self.room_for(1)?;
        let handle = self.ctx.inheritance.take(number, &self.ctx.rights)?;
        self.push(handle)
    }

    fn adopt(&mut self, number: i32) -> CallResult<Resource<Descriptor>> {
        if !self.ctx.real_numbers {
            return Err(Errno::BADF.into());
        }
        self.room_for(1)?;
        let handle = Handle::of_process(sys::adopt(number)?, &self.ctx.rights)?;
        self.push(handle)
    }

    fn set_nonblocking(&mut self, d: Resource<Descriptor>, nonblocking: bool) -> CallResult<()> {
        let (handle, _) = self.socket_of(&d)?;
        Ok(handle.set_nonblocking(nonblocking)?)
    }

    fn get_nonblocking(&mut self, d: Resource<Descriptor>) -> CallResult<bool> {
        let (handle, _) = self.socket_of(&d)?;
        Ok(handle.is_nonblocking())
    }
}
