namespace Gongzhi.Tests.Shared;

/// <summary>The checkout that the tests run in.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    /// <summary>A path in it.</summary>
    public static string At(params string[] parts) => Path.Combine([Root, .. parts]);

    private static string Find()
    {
        var at = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(at.FullName, "Gongzhi.slnx")))
            at = at.Parent ?? throw new InvalidOperationException("The tests run from within the repository.");
        return at.FullName;
    }
}
