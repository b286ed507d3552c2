"""How an installation's own processes ask its model server where that speaks TLS."""

import ssl


def own_server(certificate: str) -> ssl.SSLContext:
    """Trusts the certificates in a PEM file and no others.

    Names are not checked: the file is the very one that the server was started with, and on the loopback the
    server is asked by an address that no certificate names.
    """
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    # The leaf alone is enough to know the server by, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
