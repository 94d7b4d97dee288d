//! TLS as libpq's `sslmode` means it, by rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::{Error, SslMode, Url};

/// The client configuration for an address.
pub(crate) fn config(url: &Url) -> Result<ClientConfig, Error> {
    let fault = |reason: String| Error::Tls { url: url.to_string(), reason };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(error.to_string()))?;
    let builder = if url.sslmode == SslMode::VerifyFull {
        builder.with_root_certificates(roots(url)?)
    } else {
        // `require` with a root certificate verifies the chain, as in libpq.
        let chain = url.sslmode == SslMode::VerifyCa
            || (url.sslmode == SslMode::Require && url.root_certificate.is_some());
        let inner = if chain {
            let roots = Arc::new(roots(url)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| fault(error.to_string()))?)
        } else {
            None
        };
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { inner, provider }))
    };
    match (&url.certificate, &url.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate).map_err(fault)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| fault(format!("sslkey: {error}")))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| fault(error.to_string()))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(fault("sslcert and sslkey go together".into())),
    }
}

fn roots(url: &Url) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    if let Some(path) = &url.root_certificate {
        let fault =
            |reason: String| Error::Tls { url: url.to_string(), reason: format!("sslrootcert: {reason}") };
        for certificate in certificates(path).map_err(fault)? {
            store.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
    } else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| format!("{}: {error}", path.display()))
}

/// Does not look at the server's name; looks at the chain where `inner` is set.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
