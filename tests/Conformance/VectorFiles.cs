using System.Text.Json;
using Xunit;

namespace Gongzhi.Tests.Conformance;

/// <summary>Where vectors come from: those shipped with the source, and larger ones under GONGZHI_TESTDATA.</summary>
internal static class VectorFiles
{
    public static string Repository { get; } = FindRepository();

    public static string Shipped(string name) => Path.Combine(Repository, "vectors", name);

    /// <summary>A path under GONGZHI_TESTDATA. Skips without the variable; with it, a missing file fails.</summary>
    public static string External(string name)
    {
        var root = Environment.GetEnvironmentVariable("GONGZHI_TESTDATA");
        if (string.IsNullOrEmpty(root)) Assert.Skip("set GONGZHI_TESTDATA");
        var path = Path.Combine(root!, name);
        Assert.True(Path.Exists(path), $"{path} is missing");
        return path;
    }

    public static JsonElement Json(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.Clone();
    }

    private static string FindRepository()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Gongzhi.slnx"))) directory = directory.Parent;
        return directory?.FullName ?? throw new InvalidOperationException("The tests run from within the repository.");
    }
}
