# The formula language of Homebrew, as far as the formula uses it: a word that is not here is an error.
#
#   ruby homebrew.rb FORMULA PROGRAMS
#
# Reads the formula, does what its install block says with the files of the checkout in the current folder (nothing is
# built), runs its test block against the folder PROGRAMS, and prints all that the formula says as JSON.

require "json"
require "pathname"
require "tmpdir"

formula, programs = ARGV.map { |path| Pathname(File.expand_path(path)) }
PREFIX = Pathname("/opt/homebrew")

# What a service block may say.
class Service
  attr_reader :said

  def initialize = @said = {}
  def opt_bin = PREFIX/"opt/unitbee/bin"
  def etc = PREFIX/"etc"
  def var = PREFIX/"var"
  def std_service_path_env = "#{PREFIX}/bin:#{PREFIX}/sbin:/usr/bin:/bin:/usr/sbin:/sbin"

  %i[run run_type interval environment_variables error_log_path].each do |word|
    define_method(word) { |value| @said[word] = value }
  end
end

# A folder that files are installed to.
class Folder
  def initialize(name, files)
    @name = name
    @files = files
  end

  def /(below) = Folder.new("#{@name}/#{below}", @files)

  def install(what)
    what = what.to_h { |path| [path, File.basename(path)] } if what.is_a?(Array)
    what = { what => File.basename(what) } unless what.is_a?(Hash)
    raise "#{@name} gets no file" if what.empty?

    what.each do |path, name|
      raise "#{path} is not there" unless File.file?(path)

      @files << "#{@name}/#{name}"
    end
  end
end

# The words of a formula.
class Formula
  class << self
    attr_reader :formula, :blocks

    def said = @said ||= {}

    def inherited(formula)
      super
      Formula.instance_variable_set(:@formula, formula)
    end

    %i[desc homepage license].each { |word| define_method(word) { |value| said[word] = value } }
    %i[url head].each { |word| define_method(word) { |url, **more| said[word] = { url: url, **more } } }
    def depends_on(what) = said[:depends_on] = what
    def test(&block) = define_method(:run_test, &block)

    def service(&block)
      service = Service.new
      service.instance_eval(&block)
      said[:service] = service.said
    end
  end

  attr_reader :files, :bin

  def initialize(bin)
    @bin = bin
    @files = []
  end

  def std_cargo_args = ["--locked", "--root", PREFIX.to_s, "--path", "."]
  def etc = PREFIX/"etc"
  def version = self.class.said[:url][:tag].delete_prefix("v")

  %i[share man1 bash_completion zsh_completion fish_completion].each do |name|
    define_method(name) { Folder.new(name, @files) }
  end

  def system(*words)
    return @files << words.join(" ") if words.first == "cargo"

    Kernel.system(*words.map(&:to_s), exception: true, out: File::NULL)
  end

  def shell_output(line)
    output = `#{line}`
    raise "#{line} ended with #{$?.exitstatus}" unless $?.success?

    output
  end

  def assert_match(expected, text)
    raise "#{expected} is not in #{text}" unless text.match?(Regexp.escape(expected))
  end
end

require formula
made = Formula.formula.new(programs)
made.install
Dir.mktmpdir { |folder| Dir.chdir(folder) { made.run_test } }
puts JSON.generate({ **Formula.formula.said, files: made.files, caveats: made.caveats })
