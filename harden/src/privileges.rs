//! Capabilities (man 7 capabilities).

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use sandsock_policy::{Ceiling, KernelCapability};

use crate::{Access, HardenError, list};

/// Returns the capabilities of a ceiling.
pub(crate) fn of(ceiling: &Ceiling) -> CapabilitySet {
    let mut all = CapabilitySet::empty();
    for needed in ceiling.capabilities() {
        all |= match needed {
            KernelCapability::NetRaw => CapabilitySet::NET_RAW,
            KernelCapability::NetAdmin => CapabilitySet::NET_ADMIN,
            KernelCapability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            KernelCapability::SysAdmin => CapabilitySet::SYS_ADMIN,
            KernelCapability::SetUid => CapabilitySet::SETUID,
            KernelCapability::SetGid => CapabilitySet::SETGID,
        };
    }
    if ceiling.unix_paths() {
        // Root connects to the sockets of other users, and binds in their folders.
        all |= CapabilitySet::DAC_OVERRIDE;
    }
    all
}

/// Returns the capabilities with which root uses files of other users.
pub(crate) fn for_files(access: Access) -> CapabilitySet {
    match access {
        Access::Read => CapabilitySet::DAC_READ_SEARCH,
        Access::Write | Access::Replace => {
            CapabilitySet::DAC_READ_SEARCH | CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER
        }
        Access::Sockets | Access::Remove => CapabilitySet::DAC_OVERRIDE,
        Access::ReadPublic | Access::Device => CapabilitySet::empty(),
    }
}

/// Gives up all capabilities but these. Returns those that the process keeps, for people.
pub(crate) fn drop_others(keep: CapabilitySet) -> Result<String, HardenError> {
    let failed = |what| move |errno| HardenError::Privileges(what, errno);
    let held = capabilities(None).map_err(failed("capabilities"))?;
    // The bounding set first, because changing it needs CAP_SETPCAP. Without that capability it
    // stays as it is. It only matters at an exec, which seccomp refuses.
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if keep.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The kernel has no further capability, or this process may not.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(errno) => return Err(failed("the bounding set")(errno)),
        }
    }
    clear_ambient_capability_set().map_err(failed("the ambient set"))?;
    let permitted = held.permitted & keep;
    let sets = CapabilitySets {
        effective: held.effective & keep,
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(failed("capabilities"))?;
    Ok(list(permitted.iter_names().map(|(name, _)| format!("CAP_{name}"))))
}
