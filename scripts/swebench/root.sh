# What the scripts here that make root file systems share.

# Runs a command in a root file system that is being made: inside ROOT COMMAND…
inside() {
    local root=$1
    shift
    chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive PIP_ROOT_USER_ACTION=ignore \
        PIP_CERT=/tmp/ca.crt REQUESTS_CA_BUNDLE=/tmp/ca.crt PIP_DISABLE_PIP_VERSION_CHECK=1 "$@"
}

# Gives a root file system this machine's way to the registries.
connect() {
    cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
    cp -L /etc/ssl/certs/ca-certificates.crt "$1/tmp/ca.crt"
}
