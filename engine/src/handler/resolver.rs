//! Name resolution with the guard inside: what is connected to is what was checked, so a name that changes its address
//! between check and use gains nothing.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::forbidden;

/// A name that leads where a handler must not go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` is at a {what} address, which this handler may not reach")]
pub(super) struct ForbiddenHost {
    host: String,
    what: &'static str,
}

/// Resolves with the system's resolver and keeps the public addresses only.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuardedResolver {
    /// Whether special addresses are allowed.
    pub(super) allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            if allow_private {
                return Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs);
            }
            let public = admitted(name.as_str(), found.collect())??;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The public addresses of a name. The outer error is one to try again, the inner one is for good.
fn admitted(
    host: &str,
    found: Vec<SocketAddr>,
) -> Result<Result<Vec<SocketAddr>, ForbiddenHost>, io::Error> {
    let refused = found.iter().find_map(|address| forbidden(address.ip()));
    let public: Vec<_> = found
        .into_iter()
        .filter(|address| forbidden(address.ip()).is_none())
        .collect();
    match refused {
        _ if !public.is_empty() => Ok(Ok(public)),
        Some(what) => Ok(Err(ForbiddenHost {
            host: host.to_owned(),
            what,
        })),
        None => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("`{host}` has no address"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 0)
    }

    #[test]
    fn only_public_addresses_of_a_name_are_connected_to() {
        let mixed = vec![socket("10.0.0.1"), socket("8.8.8.8"), socket("::1")];
        let admitted_addresses = admitted("h", mixed).unwrap().unwrap();
        assert_eq!(admitted_addresses, [socket("8.8.8.8")]);

        let inside = admitted("h", vec![socket("169.254.169.254")]).unwrap();
        let said = inside.unwrap_err().to_string();
        assert_eq!(
            said,
            "`h` is at a link-local address, which this handler may not reach"
        );
        assert!(admitted("h", Vec::new()).is_err());
    }

    #[tokio::test]
    async fn a_name_of_the_own_machine_is_refused_unless_allowed() {
        let guarded = GuardedResolver {
            allow_private: false,
        };
        let Err(error) = guarded.resolve("localhost".parse().unwrap()).await else {
            panic!("resolved");
        };
        assert!(error.downcast_ref::<ForbiddenHost>().is_some());
        let open = GuardedResolver {
            allow_private: true,
        };
        assert!(open.resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
