# Homebrew builds unitbee from source with this, on macOS and on Linux; it belongs into a tap. A release changes the tag.
class Unitbee < Formula
  desc "One manifest; each machine's own supervisor"
  homepage "https://github.com/unitbee/unitbee"
  url "https://github.com/unitbee/unitbee.git", tag: "v0.1.0"
  license any_of: ["MIT", "Apache-2.0"]
  head "https://github.com/unitbee/unitbee.git", branch: "main"

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    bash_completion.install "packaging/completions/unitbee.bash" => "unitbee"
    zsh_completion.install "packaging/completions/_unitbee"
    fish_completion.install "packaging/completions/unitbee.fish"
    man1.install Dir["packaging/man/*.1"]
    (share/"unitbee").install "packaging/unitbee.schema.json"
  end

  # Nothing of unitbee runs beside the services: launchd or systemd does. What it can do from time to time is to look
  # whether they all run and are healthy.
  service do
    run [opt_bin/"unitbee", "ensure", "--file", etc/"unitbee.toml"]
    run_type :interval
    interval 300
    environment_variables PATH: std_service_path_env
    error_log_path var/"log/unitbee.log"
  end

  def caveats
    <<~EOS
      unitbee has no daemon: what it installs is run by launchd (on Linux by systemd), and goes on without it.
      `brew services start unitbee` adds a look every five minutes, as `unitbee ensure` does it, at what
        #{etc}/unitbee.toml
      names: what is installed and does not run, or is not healthy, is started again.
    EOS
  end

  test do
    system bin/"unitbee", "init", "web"
    assert_match "ProgramArguments", shell_output("#{bin}/unitbee render --launchd")
    assert_match version.to_s, shell_output("#{bin}/unitbee --version")
  end
end
