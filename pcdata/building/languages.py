"""Which language a file is in, by its name alone: one table, no guessing from content."""

from __future__ import annotations

UNKNOWN = "unknown"

_BY_SUFFIX = {
    "Assembly": "asm s",
    "Awk": "awk",
    "Batchfile": "bat cmd",
    "C": "c h",
    "C#": "cs csx",
    "C++": "cc cpp cxx c++ hh hpp hxx h++ inl ipp tpp",
    "CMake": "cmake",
    "CSS": "css",
    "CSV": "csv tsv",
    "CUDA": "cu cuh",
    "Clojure": "clj cljs cljc edn",
    "CoffeeScript": "coffee",
    "Common Lisp": "lisp lsp cl",
    "Crystal": "cr",
    "Cython": "pyx pxd pxi",
    "D": "d",
    "Dart": "dart",
    "Diff": "diff patch",
    "Elixir": "ex exs",
    "Elm": "elm",
    "Emacs Lisp": "el",
    "Erlang": "erl hrl",
    "F#": "fs fsi fsx",
    "Fortran": "f f77 f90 f95 f03 f08 for",
    "GLSL": "glsl vert frag geom comp",
    "Go": "go",
    "GraphQL": "graphql gql",
    "Groovy": "groovy gradle",
    "HCL": "tf hcl",
    "HTML": "html htm xhtml",
    "Haskell": "hs lhs",
    "INI": "ini cfg conf properties",
    "JSON": "json geojson webmanifest",
    "JSON Lines": "jsonl ndjson",
    "Java": "java",
    "JavaScript": "js mjs cjs jsx",
    "Julia": "jl",
    "Jupyter Notebook": "ipynb",
    "Kotlin": "kt kts",
    "Less": "less",
    "Lua": "lua",
    "M4": "m4 ac",
    "Makefile": "mk mak",
    "Markdown": "md markdown mdx",
    "Nim": "nim nims",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "m",
    "Objective-C++": "mm",
    "PHP": "php phtml",
    "Pascal": "pas pp",
    "Perl": "pl pm t pod",
    "PowerShell": "ps1 psm1 psd1",
    "Prolog": "pro prolog",
    "Protocol Buffer": "proto",
    "Python": "py pyw pyi",
    "R": "r rmd",
    "Racket": "rkt",
    "Ruby": "rb rake gemspec",
    "Rust": "rs",
    "SCSS": "scss sass",
    "SQL": "sql",
    "SVG": "svg",
    "Scala": "scala sc sbt",
    "Scheme": "scm ss",
    "Shell": "sh bash zsh ksh fish",
    "Solidity": "sol",
    "Starlark": "bzl bazel star",
    "Svelte": "svelte",
    "Swift": "swift",
    "SystemVerilog": "sv svh",
    "TOML": "toml",
    "Tcl": "tcl tk",
    "TeX": "tex sty cls bib",
    "Text": "txt text log",
    "Thrift": "thrift",
    "TypeScript": "ts tsx mts cts",
    "VHDL": "vhd vhdl",
    "Verilog": "v vh",
    "Vim Script": "vim",
    "Visual Basic": "vb bas vbs",
    "Vue": "vue",
    "WebAssembly": "wat wast",
    "XML": "xml xsd xsl xslt plist",
    "YAML": "yaml yml",
    "Zig": "zig",
    "reStructuredText": "rst rest",
}

_BY_NAME = {
    "Batchfile": "autoexec.bat",
    "CMake": "cmakelists.txt",
    "Dockerfile": "dockerfile containerfile",
    "INI": ".editorconfig .gitconfig setup.cfg",
    "Ignore List": ".gitignore .dockerignore .npmignore",
    "Makefile": "makefile gnumakefile makefile.am makefile.in",
    "Ruby": "gemfile rakefile",
    "Shell": ".bashrc .profile .zshrc configure",
    "Starlark": "build workspace",
    "Text": "readme license copying authors notice changelog",
}

_SUFFIXES = {suffix: language for language, suffixes in _BY_SUFFIX.items() for suffix in suffixes.split()}
_NAMES = {name: language for language, names in _BY_NAME.items() for name in names.split()}


def languages() -> list[str]:
    """All names, in order."""
    return sorted({*_BY_SUFFIX, *_BY_NAME})


def language_of(path: bytes) -> str:
    """The language of a file, from its last path component; ``unknown`` where the table does not say."""
    name = path.rpartition(b"/")[2].decode("utf-8", "replace").lower()
    known = _NAMES.get(name)
    if known is None:
        known = _SUFFIXES.get(name.rpartition(".")[2]) if "." in name else None
    return known or UNKNOWN
