#!/bin/sh
# Regenerates the checked-in protobuf code of every .proto of the repository.
#   proto/generate.sh          writes it
#   proto/generate.sh --check  changes nothing, fails if it is out of date
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
stale=0

# generate DIRECTORY-OF-PROTOS PACKAGE-DIRECTORY: no .proto imports another one, so the modules need no import path.
generate() {
    mkdir -p "$scratch/$2"
    "$python" -m grpc_tools.protoc -I "$1" --python_out="$scratch/$2" --pyi_out="$scratch/$2" "$1"/*.proto
    for made in "$scratch/$2"/*; do
        kept=$2/${made##*/}
        if [ "$mode" = --check ]; then
            cmp -s "$made" "$kept" || { echo "$kept is out of date: run proto/generate.sh" >&2; stale=1; }
        else
            mkdir -p "$2"
            cp "$made" "$kept"
        fi
    done
}

mode=${1:-}
case $mode in
'' | --check) ;;
*)
    echo "usage: proto/generate.sh [--check]" >&2
    exit 2
    ;;
esac

generate proto/cri/v1 edgecore/runtime/pb
generate proto/channel/v1 edgelink/native/pb
generate proto/dmi/v1beta1 edgecore/devices/dmi/pb
exit $stale
