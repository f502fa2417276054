# Sourced by the other scripts: makes .venv and installs the package into it, once per change of setup.py.
#   RSNA_EXTRAS=dev,kaggle . scripts/_venv.sh

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
EXTRAS=${RSNA_EXTRAS:-}
PYTHON=${PYTHON:-python3}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; $PYTHON is $("$PYTHON" --version 2>&1). Set PYTHON=/path/to/python3." >&2
    exit 2
}
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv

# one stamp per set of extras: installing the tests' needs does not make the demo install again
stamp=.venv/.installed-${EXTRAS//,/-}
wanted="$(sha256sum setup.py | cut -d' ' -f1) $ROOT"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing rsna${EXTRAS:+[$EXTRAS]} into .venv (some gigabytes the first time) ..."
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${EXTRAS:+[$EXTRAS]}"
    echo "$wanted" > "$stamp"
fi
export PATH="$ROOT/.venv/bin:$PATH"
