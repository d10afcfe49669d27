#!/bin/sh
# Puts what a machine needs to run the forum into PACKAGE_DIR.
# FORUM_PROFILE is the Cargo profile to build with, `dev` unless it is set.
set -eu
cd "$(dirname "$0")"
: "${PACKAGE_DIR:?set PACKAGE_DIR to the directory that the package is gathered in}"

# A cargo that has started this says of what; some crates look at that, and would be built anew.
for name in $(env | sed -n 's/^\(CARGO_\(PKG\|MANIFEST\)_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done

profile=${FORUM_PROFILE:-dev}
# With the whole workspace in view, what it shares with the others is compiled once.
cargo build --quiet --workspace --bin forum --profile "$profile"

target=${CARGO_TARGET_DIR:-}
if [ -z "$target" ]; then
    target=$(cargo metadata --format-version 1 --no-deps |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
fi
case $profile in
    dev) folder=debug ;;
    *) folder=$profile ;;
esac

mkdir -p "$PACKAGE_DIR"
cp "$target/$folder/forum" mandate.toml prices.toml "$PACKAGE_DIR/"
if command -v strip >/dev/null 2>&1; then
    strip "$PACKAGE_DIR/forum"
fi
