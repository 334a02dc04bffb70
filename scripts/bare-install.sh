#!/usr/bin/env bash
# Installs in bare Debian root folders, as somebody does who has nothing but what the README names. Needs root, debootstrap and what packs the package.
#   scripts/bare-install.sh prebuilt    Debian 12 with Node alone, and the packed packages
#   scripts/bare-install.sh source      Debian 13 with its packages, and a clone
# The machine's own settings of apt, npm and pip serve in the folder too. SUITE names another Debian, NODE another Node. The LibTorch that `setup`
# fetches comes from where it comes for everybody, or is LIBTORCH_ARCHIVE, a wheel or zip file that is served on the loopback.
set -euo pipefail
cd "$(dirname "$0")/.."

# --- the steps: what the container recipe in docs/deploying.md lists

prebuilt_suite=bookworm
steps_prebuilt() {
  put_node        # from nodejs.org, into /usr/local
  put_packages    # cornernet-*.tgz, among them cornernet-linux-*-cpu-*.tgz; once published, from the registry
  inside 'npm install ./cornernet-*.tgz'
  inside 'npx cornernet setup'
  inside 'npx cornernet doctor'
  inside 'node first.js 2> said && ! grep . said' # nothing but its results
}

source_suite=trixie
steps_source() {
  inside 'apt-get update && apt-get install --yes --no-install-recommends nodejs npm g++ cmake make python3 python3-pip'
  put_clone       # git clone
  inside 'npm start'
  inside 'npx cornernet doctor'
}

# --- how they are done

case "${1:-}" in
  prebuilt | source) way=$1 ;;
  *) sed -n '2,/^set /{/^#/p}' "scripts/$(basename "$0")" >&2 && exit 1 ;;
esac
folder=$(mktemp -d)
server=
# Nothing is removed that may still lead out of the folder.
leave() {
  if [ -n "$server" ]; then kill "$server"; fi
  umount "$folder/proc" "$folder/dev" 2> /dev/null || true
  if mountpoint -q "$folder/dev" || mountpoint -q "$folder/proc"; then echo "still mounted: $folder" >&2; else rm -rf "$folder"; fi
}
trap leave EXIT

inside() {
  printf '\n# %s\n' "$1"
  local started=$SECONDS
  chroot "$folder" env -i "${environment[@]}" sh -ec "cd $work && $1"
  echo "# done in $((SECONDS - started)) s"
}

put_node() {
  local node=${NODE:-20.18.1} npm=10.8.2 packed
  packed=$(mktemp -d -p "$folder")
  (cd "$packed" && npm pack --silent "node-linux-$(node -p process.arch)@$node" "npm@$npm") > /dev/null # the official build, as a package
  tar -xzf "$packed"/node-linux-*.tgz -C "$folder/usr/local" --strip-components=1
  mkdir -p "$folder/usr/local/lib/node_modules/npm"
  tar -xzf "$packed"/npm-*.tgz -C "$folder/usr/local/lib/node_modules/npm" --strip-components=1
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$folder/usr/local/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$folder/usr/local/bin/npx"
  chmod +x "$folder"/usr/local/lib/node_modules/npm/bin/*-cli.js
  rm -r "$packed"
  inside 'node --version && npm --version'
}

put_packages() {
  node scripts/pack.js cpu
  cp output/packages/*.tgz "$folder$work"
  # The first detection, in plain JavaScript.
  cat > "$folder$work/first.js" << 'EOF'
const { Detector } = require('cornernet');

async function main() {
  const detector = await Detector.load('digits');
  const { detections } = await detector.detect('node_modules/cornernet/pictures/scene0.jpg');
  for (const { label, score, box } of detections) console.log(label, score.toFixed(2), ...box.map(Math.round));
  await detector.close();
}

main();
EOF
}

put_clone() {
  git clone --quiet . "$folder$work/cornernet"
  work=$work/cornernet
}

suite=${SUITE:-$([ "$way" = prebuilt ] && echo "$prebuilt_suite" || echo "$source_suite")}
echo "# a bare $suite"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -1)
debootstrap --variant=minbase "$suite" "$folder" "$mirror" > /dev/null
home=/home/app
work=$home/work
mkdir -p "$folder$work"
mount -t proc proc "$folder/proc"
mount --bind /dev "$folder/dev"

# How this machine reaches its registries: names, certificates, npm's and pip's settings.
cp /etc/resolv.conf /etc/hosts "$folder/etc/"
certificates=/etc/machine.crt
cp /etc/ssl/certs/ca-certificates.crt "$folder$certificates"
for config in "$(npm config get globalconfig)" "$(npm config get userconfig)"; do
  if [ -f "$config" ]; then grep -vE '^(nodedir|cafile)' "$config" >> "$folder$home/.npmrc" || true; fi
done
for config in ~/.config/pip/pip.conf ~/.pip/pip.conf /etc/pip.conf; do
  if [ -f "$config" ]; then cp "$config" "$folder/etc/pip.conf" && break; fi
done
environment=(PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "HOME=$home" LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive
  "npm_config_cafile=$certificates" "NODE_EXTRA_CA_CERTS=$certificates" "PIP_CERT=$certificates")
while IFS= read -r variable; do environment+=("$variable"); done < <(env | grep -iE '^(https?_proxy|no_proxy|pip_(index_url|extra_index_url)|npm_config_registry)=' || true)

if [ -n "${LIBTORCH_ARCHIVE:-}" ]; then
  node -e '
    const { createReadStream, statSync } = require("node:fs");
    const [file] = process.argv.slice(1);
    const server = require("node:http").createServer((_, response) => {
      response.writeHead(200, { "content-length": statSync(file).size });
      createReadStream(file).pipe(response);
    });
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  ' "$LIBTORCH_ARCHIVE" > "$folder/port" &
  server=$!
  until [ -s "$folder/port" ]; do sleep 0.1; done
  environment+=("CORNERNET_LIBTORCH_URL=http://127.0.0.1:$(cat "$folder/port")/libtorch.zip")
fi

"steps_$way"
echo
echo "# all steps of '$way' are done in a bare $suite"
