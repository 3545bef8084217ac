"""A certificate authority of our own and a server's certificate, made with the openssl program, for the tests of TLS."""
import os
import subprocess


class Certificates:
    """Files in `folder`: ca.pem, server.pem and server.key (for localhost alone), and other-ca.pem, which signed nothing."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.ca, self.other_ca = self.path("ca.pem"), self.path("other-ca.pem")
        self.certificate, self.key = self.path("server.pem"), self.path("server.key")
        os.makedirs(self.folder, exist_ok=True)
        if not os.path.exists(self.certificate):
            self._authority("ca")
            self._authority("other-ca")
            self._server()

    def path(self, name):
        return os.path.join(self.folder, name)

    def rabbitmq_settings(self, port):
        return {"listeners.ssl.1": f"127.0.0.1:{port}", "ssl_options.cacertfile": self.ca,
                "ssl_options.certfile": self.certificate, "ssl_options.keyfile": self.key,
                "ssl_options.verify": "verify_none", "ssl_options.versions.1": "tlsv1.3", "ssl_options.versions.2": "tlsv1.2"}

    def _authority(self, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7300",
                      "-subj", f"/CN=muskrat test {name}", "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"))

    def _server(self):
        request, extensions = self.path("server.csr"), self.path("server.ext")
        with open(extensions, "w", encoding="ascii") as f:
            f.write("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                      "-keyout", self.key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.path("ca.key"), "-CAcreateserial",
                      "-days", "7300", "-extfile", extensions, "-out", self.certificate)

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder, stdin=subprocess.DEVNULL)
