import InterruptCore

/// Which variables of a submission may reach a command that is not free-form.
enum VariableRules {
    /// Variables by which any allowed program can be made to run or load something else, or to read another
    /// configuration. Nobody can allow them to a submitter; a jobs file may set them itself.
    static func isDangerous(_ name: String) -> Bool {
        names.contains(name) || prefixes.contains { name.hasPrefix($0) } || name.hasSuffix("_PRELOAD")
    }

    /// Whether a variable can have this name.
    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }

    private static let names: Set<String> = [
        "PATH", "HOME", "SHELL", "IFS", "ENV", "CDPATH", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "FPATH",
        "ZDOTDIR", "EDITOR", "VISUAL", "PAGER", "BROWSER", "LESSOPEN", "LESSCLOSE", "MANPAGER", "TMPDIR", "LOCPATH",
        "NLSPATH", "GCONV_PATH", "GETCONF_DIR", "HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "RESOLV_HOST_CONF",
        "NIS_PATH", "TERMINFO", "TERMINFO_DIRS", "TERMCAP", "TZDIR", "CLASSPATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS", "NODE_OPTIONS", "NODE_PATH", "RUBYOPT", "RUBYLIB", "PHPRC", "PHP_INI_SCAN_DIR", "AWKPATH",
        "AWKLIBPATH", "RSYNC_RSH", "TAR_OPTIONS", "MAKEFLAGS", "MAKEFILES", "CC", "CXX", "OPENSSL_CONF",
        "OPENSSL_ENGINES", "OPENSSL_MODULES", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_HOME", "WGETRC", "VIMINIT",
        "EXINIT", "INPUTRC", "GOFLAGS", "GOPATH", "GOROOT", "GODEBUG", "KUBECONFIG", "GTK_MODULES", "GTK_PATH",
        "QT_PLUGIN_PATH", "GNUPGHOME",
    ]
    private static let prefixes = [
        "LD_", "DYLD_", "BASH_", "GLIBC_", "MALLOC_", "GIT_", "PYTHON", "PERL", "LUA_", "XDG_", "SSH_", "npm_",
        "CARGO_", "RUSTC", "DOCKER_", "INTERRUPT_", "DOTNET_", "COR_", "CORECLR_", "COMPlus_", "GEM_", "BUNDLE_",
        "PIP_",
        "ERL_", "R_PROFILE", "R_ENVIRON", "R_LIBS", "JULIA_", "KRB5", "SYSTEMD_",
    ]
}

extension VariableRules {
    /// Why a submitter may not be allowed to set a variable; `nil` when that can be.
    static func problem(allowing name: String) -> String? {
        let shown = name.escapedForDisplay(limit: 40)
        if !isName(name) { return "'\(shown)' is no name of a variable: letters, digits and '_', no digit first" }
        if isDangerous(name) { return "'\(shown)' would let any program run or read what was not allowed" }
        return nil
    }
}
