#!/usr/bin/env bash
# Makes an OCI image of each static file that is there: target/image/ARCH, an OCI layout with the tag latest, for amd64, arm64, arm
# and riscv64. Each has its own layout, because oci-image-tool takes no layout with several images for valid.
#     make image [ARCHES="x86_64"]
#
# An image is one file, /stillthere, which runs as a user of its own; settings are in the environment, so that
# `IMAGE serve --deadline 10s` leaves them as they are, and the health check finds the admin port wherever it was put.
#
# HEALTHCHECK is Docker's: the OCI specification has no field for it, and lets images carry fields that it does not know. Docker
# and its builders write it as config.Healthcheck, also into OCI images, so we do, with jq, because umoci cannot. Podman reads it only
# from images in Docker's format; there, --health-cmd says the same. Kubernetes never reads it (dist/kubernetes).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
images=target/image

say() { echo "image: $*" >&2; }
die() { say "$*"; exit 1; }
arch_of_oci() { case $1 in x86_64) echo amd64 ;; aarch64) echo arm64 ;; armv7) echo arm ;; *) echo "$1" ;; esac; }

made=
read -r -a arches <<<"${ARCHES:-x86_64 aarch64 armv7 riscv64}"
rootless=()
[[ $(id -u) == 0 ]] || rootless=(--rootless) # the file belongs to root in the image all the same
created=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}" +%Y-%m-%dT%H:%M:%SZ)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)

# A blob of the layout that other blobs name by its hash; prints what a descriptor says of it.
put() { # file
    local hash
    hash=$(sha256sum "$1" | cut -d' ' -f1)
    install -m 644 "$1" "$layout/blobs/sha256/$hash"
    printf '{"digest":"sha256:%s","size":%s}' "$hash" "$(stat -c %s "$1")"
}
blob() { echo "$layout/blobs/${1/:/\/}"; }

manifest() { jq -r '.manifests[0].digest' "$layout/index.json"; }
add_health_check() {
    local manifest config new=$images/new
    manifest=$(manifest)
    config=$(jq -r .config.digest "$(blob "$manifest")")
    # In nanoseconds. Each check is a process of a few milliseconds.
    jq -c '.config.Healthcheck = {Test: ["CMD", "/stillthere", "who", "--quiet", "--patience", "2s"], Interval: 10000000000,
        Timeout: 5000000000, Retries: 3}' "$(blob "$config")" >$new
    jq -c --argjson config "$(put $new)" '.config += $config' "$(blob "$manifest")" >$new.manifest
    jq -c --argjson manifest "$(put $new.manifest)" '.manifests[0] += $manifest' "$layout/index.json" >$new
    cat $new >"$layout/index.json"
    rm $new $new.manifest
}

rm -rf $images && mkdir -p $images
for arch in "${arches[@]}"; do
    file=target/static/stillthere-$arch tag=$(arch_of_oci "$arch")
    [[ -x $file ]] || { say "$file is not there; 'make static-all' builds it."; continue; }
    layout=$images/$tag
    umoci init --layout "$layout"
    umoci new --image "$layout"
    umoci insert "${rootless[@]}" --history.created "$created" --history.created_by "make image" --image "$layout" "$file" /stillthere
    umoci config --history.created "$created" --image "$layout" --os linux --architecture "$tag" --created "$created" \
        --config.user 65532:65532 --config.workingdir / --config.stopsignal SIGTERM --config.exposedports 7007/tcp \
        --config.env STILLTHERE_LISTEN=0.0.0.0:7007 --config.env STILLTHERE_ADMIN=127.0.0.1:7070 \
        --config.entrypoint /stillthere --config.cmd serve \
        --config.label "org.opencontainers.image.title=stillthere" --config.label "org.opencontainers.image.version=$version" \
        --config.label "org.opencontainers.image.licenses=MIT OR Apache-2.0"
    add_health_check
    umoci gc --layout "$layout" >&2
    oci-image-tool validate --type image --ref name=latest "$layout" >$images/log 2>&1 ||
        { cat $images/log >&2; die "oci-image-tool does not accept $layout."; }
    rm $images/log
    printf '%s:latest: valid, %s bytes compressed\n' "$layout" "$(jq '[.layers[].size] | add' "$(blob "$(manifest)")")"
    made=yes
done
[[ -n $made ]] || die "no image was made."
