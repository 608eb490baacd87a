# Amazon Web Services as moto plays them: STS and ECR, without any check of who asks. Sourced by lab.sh.
# shellcheck shell=bash

AWS_PORT=5555
# Where the stand-in for Amazon's registry is, and the login for it that moto's GetAuthorizationToken answers with.
LAB_ECR=123456789012.dkr.ecr.eu-west-1.amazonaws.com
ECR_PASSWORD=123456789012-auth-token

aws_answers() { curl -sf --max-time 2 "http://$LAB_ADDR:$AWS_PORT/moto-api/" >/dev/null; }

aws_up() {
  local dir=$LAB/aws requirements=$here/lab/aws-requirements.txt
  if alive "$dir/pid" moto_server && aws_answers; then return 0; fi
  mkdir -p "$dir"
  if ! cmp -s "$requirements" "$dir/installed"; then
    say "installing moto"
    install_missing_package python3-venv /usr/bin/python3 -c 'import ensurepip'
    rm -rf "${dir:?}/venv"
    { /usr/bin/python3 -m venv "$dir/venv" &&
      "$dir/venv/bin/pip" install -q --disable-pip-version-check --no-input -r "$requirements"; } >"$dir/install.log" 2>&1 9>&- ||
      { tail -n 20 "$dir/install.log" >&2; fail "moto cannot be installed"; }
    cp "$requirements" "$dir/installed"
  fi
  say "starting moto on $LAB_ADDR:$AWS_PORT"
  setsid "$dir/venv/bin/moto_server" -H "$LAB_ADDR" -p "$AWS_PORT" >"$dir/log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/pid"
  until_ok 60 moto "$dir/log" aws_answers
}

aws_down() { stop "$LAB/aws/pid" moto_server; }

aws_status() {
  if alive "$LAB/aws/pid" moto_server; then echo "aws: http://$LAB_ADDR:$AWS_PORT (moto)"; else echo "aws: down"; fi
}
