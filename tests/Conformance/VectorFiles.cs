using System.Text.Json;

namespace Gongzhi.Tests.Conformance;

/// <summary>The vectors shipped with the source; vectors/README.md says where they come from.</summary>
internal static class VectorFiles
{
    public static string Repository { get; } = FindRepository();

    public static string Shipped(string name) => Path.Combine(Repository, "vectors", name);

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
