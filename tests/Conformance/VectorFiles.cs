using System.Text.Json;

namespace Gongzhi.Tests.Conformance;

/// <summary>The vectors shipped with the source; vectors/README.md says where they come from.</summary>
internal static class VectorFiles
{
    public static string Shipped(string name) => Repository.At("vectors", name);

    public static JsonElement Json(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.Clone();
    }
}
