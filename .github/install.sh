#!/bin/sh
# Installs the newest release of allm, or the one that ALLM_VERSION names, into ALLM_BIN or ~/.local/bin:
#     curl -fsSL https://github.com/@REPOSITORY@/releases/latest/download/install.sh | sh
# Nothing is put anywhere before its SHA-256 sum has been checked.
set -eu

releases=${ALLM_RELEASES:-https://github.com/@REPOSITORY@/releases}
bin=${ALLM_BIN:-$HOME/.local/bin}

fail() {
    echo "error: $1" >&2
    exit 1
}

case "$(uname -s) $(uname -m)" in
    "Linux x86_64") target=x86_64-unknown-linux-gnu ;;
    "Linux aarch64" | "Linux arm64") target=aarch64-unknown-linux-gnu ;;
    "Darwin x86_64") target=x86_64-apple-darwin ;;
    "Darwin arm64") target=aarch64-apple-darwin ;;
    *) fail "there is no binary for $(uname -s) on $(uname -m); build it with \`cargo install\`, as the README says" ;;
esac
for needed in curl tar; do
    command -v "$needed" > /dev/null || fail "\`$needed\` is needed"
done
if command -v sha256sum > /dev/null; then
    sum="sha256sum"
elif command -v shasum > /dev/null; then
    sum="shasum -a 256"
else
    fail "neither \`sha256sum\` nor \`shasum\` is there to check what is fetched"
fi

version=${ALLM_VERSION:-}
if [ -z "$version" ]; then
    latest=$(curl -fsSL -o /dev/null -w '%{url_effective}' "$releases/latest") || fail "cannot reach $releases"
    version=${latest##*/}
fi
version=v${version#v}
name="allm-$version-$target"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
echo "fetching $name" >&2
for file in "$name.tar.gz" "$name.tar.gz.sha256"; do
    curl -fL --progress-bar -o "$work/$file" "$releases/download/$version/$file" ||
        fail "cannot fetch $releases/download/$version/$file"
done
(cd "$work" && $sum -c "$name.tar.gz.sha256" > /dev/null 2>&1) ||
    fail "the SHA-256 sum of $name.tar.gz is not the one that was published; nothing was installed"
tar -xzf "$work/$name.tar.gz" -C "$work"
mkdir -p "$bin"
# A running allm keeps the file that it was started from.
cp "$work/$name/allm" "$bin/.allm.new"
chmod 755 "$bin/.allm.new"
mv -f "$bin/.allm.new" "$bin/allm"
echo "installed $("$bin/allm" --version) as $bin/allm" >&2
case ":$PATH:" in
    *":$bin:"*) ;;
    *) echo "hint: $bin is not on your PATH; add it: export PATH=\"$bin:\$PATH\"" >&2 ;;
esac
