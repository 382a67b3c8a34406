namespace Gongzhi.Perf;

/// <summary>How this run was asked for, the directory everything of it lives in, and the peer database, started when first needed.</summary>
internal sealed class Bench : IAsyncDisposable
{
    private Postgres? _postgres;

    /// <summary>Smaller sizes and fewer repetitions: shows that it runs, not how fast. Never written to the results.</summary>
    public required bool Quick { get; init; }

    /// <summary>Base number of rows that the caller wants instead of the figure's own, or null.</summary>
    public required int? Size { get; init; }

    /// <summary>Where <c>postgres</c> and <c>initdb</c> are.</summary>
    public required string PostgresPrograms { get; init; }

    /// <summary>Directory of the repository.</summary>
    public required string Repository { get; init; }

    public string Directory { get; } = MakeDirectory();

    public int Repetitions => Quick ? 1 : 3;

    public int Rows(int full, int quick) => Size ?? (Quick ? quick : full);

    public async Task<Postgres> PostgresAsync() => _postgres ??= await Postgres.StartAsync(PostgresPrograms);

    public string File(string name) => Path.Combine(Directory, name);

    public static void Say(string text) => Console.Error.WriteLine("  " + text);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _postgres, null) is { } postgres)
            await postgres.DisposeAsync();
        if (System.IO.Directory.Exists(Directory))
            System.IO.Directory.Delete(Directory, recursive: true);
    }

    /// <summary>Readable by others, since PostgreSQL reads the files as another user; the node's own directory inside stays private.</summary>
    private static string MakeDirectory()
    {
        var path = System.IO.Directory.CreateTempSubdirectory("gongzhi-bench-").FullName;
        if (!OperatingSystem.IsWindows())
            System.IO.File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
        return path;
    }
}
