//! System calls, by seccomp (man 2 seccomp).
//!
//! A refused call fails with an errno. The process is not ended, because a refusal is expected of
//! a library that tries a newer call first. All other calls are allowed: wasmtime, tokio and the
//! file functions of WASI use many, and the kernel does not run a filter for a call whose number
//! alone decides.

use std::collections::BTreeMap;

use sandsock_policy::Part;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use crate::{HardenError, Hardening, list};

/// The rules of a filter: the calls that it refuses, always or under one of several conditions.
type Refused = BTreeMap<i64, Vec<SeccompRule>>;

/// The first call that is newer than this code. From here on, each call is as in a kernel that does
/// not have it. The calls of x32 have higher numbers too (man 2 syscall).
const NEWER: u32 = 470;

/// Calls that are as in a kernel without them. glibc then makes its threads by clone(2), whose
/// flags a filter can see.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Calls that libc does not name yet (linux: asm-generic/unistd.h). They have one number everywhere.
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;

/// Calls that neither the command nor a guest needs.
const DANGEROUS: &[i64] = &[
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setaffinity,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // What System V and POSIX share by name.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // Rights and owners of files by their path, which Landlock does not cover.
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
    // The file system as a whole, and ways past the folders.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_mknodat,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    // Namespaces, users, the machine.
    libc::SYS_setns,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_setdomainname,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // The kernel's larger doors.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
];

/// Further calls of x86-64.
#[cfg(target_arch = "x86_64")]
const DANGEROUS_HERE: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const DANGEROUS_HERE: &[i64] = &[];

/// linux/net.h: SOCK_PACKET. On AF_INET it is another way to AF_PACKET.
const SOCK_PACKET: i32 = 10;

/// The types of sockets that the kernel has, those included that no guest gets.
const TYPES: [i32; 7] = [
    libc::SOCK_STREAM,
    libc::SOCK_DGRAM,
    libc::SOCK_RAW,
    libc::SOCK_RDM,
    libc::SOCK_SEQPACKET,
    libc::SOCK_DCCP,
    SOCK_PACKET,
];

/// linux/net.h: SOCK_TYPE_MASK. Above these bits stand SOCK_NONBLOCK and SOCK_CLOEXEC.
const TYPE_MASK: u64 = 0xf;

/// A kind of socket with more protocols than this may have any protocol. A filter has a limited
/// length.
const MOST_PROTOCOLS: usize = 16;

/// Restricts the process. Returns what holds, for people.
pub(crate) fn restrict(kept: &Hardening) -> Result<String, HardenError> {
    let (dangerous, sockets) = (dangerous(kept)?, refused_sockets(kept)?);
    let count = dangerous.len() + ABSENT.len();
    let absent: Refused = ABSENT.iter().map(|call| (*call, Vec::new())).collect();
    let mut absent = compile(absent, libc::ENOSYS)?;
    absent.splice(0..0, newer());
    // The last filter is asked first, and the strictest answer counts.
    let filters = [compile(sockets, libc::EAFNOSUPPORT)?, compile(dangerous, libc::EPERM)?, absent];
    for filter in filters {
        match apply_filter(&filter) {
            // man 2 seccomp: the kernel was built without it.
            Err(seccompiler::Error::Seccomp(error))
                if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
            {
                return Ok("seccomp: this kernel does not have it".to_owned());
            }
            applied => applied?,
        }
    }
    let mut families: Vec<i32> = kept.sockets.keys().map(|(family, _)| *family).collect();
    families.dedup();
    let names = families.iter().map(|family| family_name(*family));
    Ok(format!("seccomp: sockets of {}; {count} other calls are refused", list(names)))
}

fn compile(refused: Refused, errno: i32) -> Result<BpfProgram, HardenError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let action = SeccompAction::Errno(errno.unsigned_abs());
    Ok(SeccompFilter::new(refused, SeccompAction::Allow, action, arch)?.try_into()?)
}

/// Returns the instructions that refuse the calls from [`NEWER`] on (linux/filter.h).
fn newer() -> [sock_filter; 3] {
    let code = |parts: [u32; 3]| parts.iter().fold(0, |code, part| code | *part as u16);
    let statement = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    [
        // `struct seccomp_data` begins with the call's number.
        statement(code([libc::BPF_LD, libc::BPF_W, libc::BPF_ABS]), 0),
        sock_filter {
            code: code([libc::BPF_JMP, libc::BPF_JGE, libc::BPF_K]),
            jt: 0,
            jf: 1,
            k: NEWER,
        },
        statement(
            code([libc::BPF_RET, libc::BPF_K, 0]),
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
        ),
    ]
}

/// The condition on an argument of 32 bits.
fn argument(
    index: u8,
    operator: SeccompCmpOp,
    value: i32,
) -> Result<SeccompCondition, HardenError> {
    let value = u64::from(value.cast_unsigned());
    Ok(SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?)
}

/// The condition that these bits of an argument are set, or that they are not.
fn bits(index: u8, bits: i32, set: bool) -> Result<SeccompCondition, HardenError> {
    let mask = SeccompCmpOp::MaskedEq(u64::from(bits.cast_unsigned()));
    argument(index, mask, if set { bits } else { 0 })
}

fn dangerous(kept: &Hardening) -> Result<Refused, HardenError> {
    let always = DANGEROUS.iter().chain(DANGEROUS_HERE);
    let mut refused: Refused = always.map(|call| (*call, Vec::new())).collect();
    if !kept.host_name {
        refused.insert(libc::SYS_sethostname, Vec::new());
    }
    let mut under = |call, rules: Vec<Vec<SeccompCondition>>| -> Result<(), HardenError> {
        let rules = rules.into_iter().map(SeccompRule::new).collect::<Result<_, _>>()?;
        refused.insert(call, rules);
        Ok(())
    };
    let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    under(libc::SYS_kill, vec![vec![argument(0, SeccompCmpOp::Ne, own)?]])?;
    under(libc::SYS_tgkill, vec![vec![argument(0, SeccompCmpOp::Ne, own)?]])?;
    let other = vec![argument(0, SeccompCmpOp::Ne, 0)?, argument(0, SeccompCmpOp::Ne, own)?];
    under(libc::SYS_prlimit64, vec![other])?;
    // Typing for the user at a terminal (man 2 ioctl_tty).
    let typing = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD];
    let typing = typing.into_iter().map(|request| {
        let request = u64::from(u32::try_from(request).unwrap_or(u32::MAX));
        Ok(vec![SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?])
    });
    under(libc::SYS_ioctl, typing.collect::<Result<_, HardenError>>()?)?;
    // A thread and no process.
    under(libc::SYS_clone, vec![vec![bits(0, libc::CLONE_THREAD, false)?]])?;
    // The host gives a thread a working directory of its own.
    under(libc::SYS_unshare, vec![vec![argument(0, SeccompCmpOp::Ne, libc::CLONE_FS)?]])?;
    if !kept.new_code {
        for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
            under(call, vec![vec![bits(2, libc::PROT_EXEC, true)?]])?;
        }
    }
    Ok(refused)
}

/// Refuses the sockets that the process does not keep, with the errno of a family that the kernel
/// does not have.
fn refused_sockets(kept: &Hardening) -> Result<Refused, HardenError> {
    let mut rules = Vec::new();
    let mut families: Vec<i32> = kept.sockets.keys().map(|(family, _)| *family).collect();
    families.dedup();
    if !families.is_empty() {
        let none_of = families.iter().map(|family| argument(0, SeccompCmpOp::Ne, *family));
        rules.push(SeccompRule::new(none_of.collect::<Result<_, _>>()?)?);
    }
    for family in families {
        for kind in TYPES {
            let mut conditions = vec![
                argument(0, SeccompCmpOp::Eq, family)?,
                argument(1, SeccompCmpOp::MaskedEq(TYPE_MASK), kind)?,
            ];
            match kept.sockets.get(&(family, kind)) {
                None => {}
                Some(Part::Of(protocols)) if protocols.len() <= MOST_PROTOCOLS => {
                    for protocol in protocols {
                        conditions.push(argument(2, SeccompCmpOp::Ne, *protocol)?);
                    }
                }
                Some(_) => continue,
            }
            rules.push(SeccompRule::new(conditions)?);
        }
    }
    Ok([(libc::SYS_socket, rules.clone()), (libc::SYS_socketpair, rules)].into())
}

fn family_name(family: i32) -> String {
    sandsock_policy::family_name(family).map_or_else(|| family.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use sandsock_policy::{Ceiling, Policy};

    use super::*;

    /// Runs a filter as the kernel does (man 2 seccomp), and returns its answer.
    fn answer(program: &[sock_filter], call: i64, arguments: [u64; 6]) -> u32 {
        // linux/audit.h: the architectures of seccompiler.
        let arch = match std::env::consts::ARCH {
            "x86_64" => 0xc000_003e_u32,
            "aarch64" => 0xc000_00b7,
            _ => 0xc000_00f3,
        };
        let mut data = Vec::new();
        data.extend(i32::try_from(call).unwrap().to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend([0; 8]);
        arguments.iter().for_each(|argument| data.extend(argument.to_le_bytes()));
        let (mut register, mut at) = (0_u32, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            at += 1;
            let mut jump = |yes: bool| at += usize::from(if yes { jt } else { jf });
            match code {
                0x20 => {
                    let from = k as usize;
                    register = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                0x54 => register &= k,
                0x05 => at += k as usize,
                0x15 => jump(register == k),
                0x25 => jump(register > k),
                0x35 => jump(register >= k),
                0x06 => return k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    /// The errno with which the filters of a process answer. 0 if the call is allowed.
    fn errno(kept: &Hardening, call: i64, arguments: &[i64]) -> i32 {
        let mut all = [0; 6];
        for (to, from) in all.iter_mut().zip(arguments) {
            *to = from.cast_unsigned();
        }
        let absent: Refused = ABSENT.iter().map(|call| (*call, Vec::new())).collect();
        let mut absent = compile(absent, libc::ENOSYS).unwrap();
        absent.splice(0..0, newer());
        let filters = [
            absent,
            compile(dangerous(kept).unwrap(), libc::EPERM).unwrap(),
            compile(refused_sockets(kept).unwrap(), libc::EAFNOSUPPORT).unwrap(),
        ];
        let answers = filters.map(|filter| answer(&filter, call, all));
        let refused = answers.into_iter().find(|answer| *answer != libc::SECCOMP_RET_ALLOW);
        refused.map_or(0, |answer| {
            assert_eq!(answer & !libc::SECCOMP_RET_DATA, libc::SECCOMP_RET_ERRNO);
            (answer & libc::SECCOMP_RET_DATA) as i32
        })
    }

    fn under(rules: &[&str]) -> Hardening {
        let mut builder = Policy::builder();
        for rule in rules {
            builder.allow(rule).unwrap();
        }
        Hardening::of(&Ceiling::of(&builder.build_with(&|path| Ok(path.to_owned()))))
    }

    #[test]
    fn dangerous_calls_are_refused_always() {
        let top = Hardening::of(&Ceiling::top());
        for kept in [&under(&[]), &top, &Hardening::closed(), &Hardening::look_ups()] {
            for call in DANGEROUS.iter().chain(DANGEROUS_HERE) {
                assert_eq!(errno(kept, *call, &[]), libc::EPERM, "{call}");
            }
            for call in ABSENT {
                assert_eq!(errno(kept, *call, &[]), libc::ENOSYS, "{call}");
            }
            // A call that does not exist yet, and socket(2) of x32.
            for call in [i64::from(NEWER), 1000, 0x4000_0029] {
                assert_eq!(errno(kept, call, &[2, 1, 0]), libc::ENOSYS, "{call}");
            }
            for call in [libc::SYS_read, libc::SYS_sendmsg, libc::SYS_futex, libc::SYS_openat] {
                assert_eq!(errno(kept, call, &[]), 0, "{call}");
            }
        }
        assert_eq!(errno(&under(&[]), libc::SYS_sethostname, &[]), libc::EPERM);
        assert_eq!(errno(&under(&["hostname=set"]), libc::SYS_sethostname, &[]), 0);
    }

    #[test]
    fn arguments_decide_where_threads_need_a_call() {
        let kept = under(&[]);
        // What glibc passes for a thread and for fork(3).
        assert_eq!(errno(&kept, libc::SYS_clone, &[0x3d_0f00]), 0);
        assert_eq!(errno(&kept, libc::SYS_clone, &[0x0120_0011]), libc::EPERM);
        assert_eq!(errno(&kept, libc::SYS_unshare, &[libc::CLONE_FS.into()]), 0);
        for flag in [libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWUSER | libc::CLONE_FS] {
            assert_eq!(errno(&kept, libc::SYS_unshare, &[flag.into()]), libc::EPERM);
        }
        for (request, expected) in
            [(libc::TIOCSTI, libc::EPERM), (libc::TIOCLINUX, libc::EPERM), (libc::FIONREAD, 0)]
        {
            let request = i64::try_from(request).unwrap();
            assert_eq!(errno(&kept, libc::SYS_ioctl, &[0, request]), expected);
        }
        let own = i64::from(std::process::id());
        for call in [libc::SYS_kill, libc::SYS_tgkill] {
            assert_eq!(errno(&kept, call, &[own, 0]), 0);
            for other in [1, -1, 0, -own] {
                assert_eq!(errno(&kept, call, &[other, 0]), libc::EPERM);
            }
        }
        for (pid, expected) in [(0, 0), (own, 0), (1, libc::EPERM)] {
            assert_eq!(errno(&kept, libc::SYS_prlimit64, &[pid]), expected);
        }
    }

    #[test]
    fn no_new_code_is_mapped() {
        let code = libc::PROT_READ | libc::PROT_EXEC;
        for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
            assert_eq!(errno(&under(&[]), call, &[0, 4096, code.into()]), libc::EPERM);
            assert_eq!(errno(&under(&[]), call, &[0, 4096, libc::PROT_WRITE.into()]), 0);
            // The C library loads its modules.
            assert_eq!(errno(&Hardening::look_ups(), call, &[0, 4096, code.into()]), 0);
        }
    }

    #[test]
    fn sockets_are_those_of_the_ceiling() {
        const FLAGS: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let socket = |kept: &Hardening, family: i32, kind: i32, protocol: i32| {
            let arguments = [family, kind | FLAGS, protocol].map(i64::from);
            let errnos =
                [libc::SYS_socket, libc::SYS_socketpair].map(|call| errno(kept, call, &arguments));
            assert_eq!(errnos[0], errnos[1]);
            assert!(matches!(errnos[0], 0 | libc::EAFNOSUPPORT));
            errnos[0] == 0
        };
        let plain = under(&[]);
        let kinds = [
            (libc::AF_INET, libc::SOCK_STREAM, 0, true),
            (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP, true),
            (libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP, true),
            (libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, true),
            (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP, false),
            (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP, false),
            (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP, false),
            (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP, false),
            (libc::AF_INET, SOCK_PACKET, 0, false),
            (libc::AF_NETLINK, libc::SOCK_RAW, 0, false),
            (libc::AF_PACKET, libc::SOCK_RAW, 0, false),
            (libc::AF_VSOCK, libc::SOCK_STREAM, 0, false),
            (libc::AF_ALG, libc::SOCK_SEQPACKET, 0, false),
            (libc::AF_KEY, libc::SOCK_RAW, 2, false),
            (-1, libc::SOCK_STREAM, 0, false),
        ];
        for (family, kind, protocol, allowed) in kinds {
            assert_eq!(socket(&plain, family, kind, protocol), allowed, "{family} {kind}");
            assert!(!socket(&Hardening::closed(), family, kind, protocol));
        }
        let ping = under(&["raw=icmp"]);
        assert!(socket(&ping, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP));
        assert!(socket(&ping, libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP));
        assert!(!socket(&ping, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP));
        let route = under(&["netlink=route:read"]);
        assert!(socket(&route, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE));
        assert!(!socket(&route, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT));
        let top = Hardening::of(&Ceiling::top());
        assert!(socket(&top, libc::AF_PACKET, libc::SOCK_DGRAM, 0x0300));
        assert!(!socket(&top, libc::AF_INET, SOCK_PACKET, 0) && !socket(&top, libc::AF_KEY, 3, 2));
    }
}
