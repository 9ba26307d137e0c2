//! The names of errors: ETIMEDOUT and the like.

use std::fmt;

/// The names from 1 on, as Linux numbers them (asm-generic/errno-base.h, asm-generic/errno.h). The C library has no names before
/// glibc 2.32, and the table of the nix crate takes 4 kB.
const NAMES: &str = "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV \
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK \
    ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT \
    EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV \
    ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX \
    ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT \
    ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET \
    ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH \
    EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY \
    EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";

/// The name of an error. One that has none is E with its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name(pub i32);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // These systems number them otherwise.
        let is_known =
            !cfg!(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc", target_arch = "sparc64"));
        let nth = usize::try_from(self.0).ok().and_then(|errno| errno.checked_sub(1)).filter(|_| is_known);
        match nth.and_then(|nth| NAMES.split(' ').nth(nth)) {
            Some(name) if name != "-" => f.write_str(name),
            _ => write!(f, "E{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn every_error_has_the_name_that_others_give_it() {
        for errno in 1..200 {
            let known = Errno::from_raw(errno);
            let name = if known == Errno::UnknownErrno { format!("E{errno}") } else { format!("{known:?}") };
            assert_eq!(Name(errno).to_string(), name);
        }
        assert_eq!(Name(libc::ETIMEDOUT).to_string(), "ETIMEDOUT");
        assert_eq!([0, -1].map(|errno| Name(errno).to_string()), ["E0", "E-1"]);
    }
}
