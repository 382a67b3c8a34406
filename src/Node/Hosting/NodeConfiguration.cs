using System.ComponentModel.DataAnnotations;
using System.Reflection;
using Microsoft.Extensions.Configuration;

namespace Gongzhi.Node.Hosting;

/// <summary>A node cannot start as it is set up; the message is one plain sentence for the operator.</summary>
public sealed class StartRefusedException(string message) : Exception(message);

/// <summary>Reads <see cref="NodeOptions"/>. A setting nobody knows is a mistake someone should hear about, so it stops the start.</summary>
public static class NodeConfiguration
{
    public const string Section = "Gongzhi";

    /// <summary>Settings of modules live in <c>Gongzhi:NAME</c>; each is named here with its own options record.</summary>
    public static IReadOnlyDictionary<string, Type> ModuleSections { get; } =
        new Dictionary<string, Type>(StringComparer.OrdinalIgnoreCase);

    /// <param name="file">A JSON file, or null.</param>
    /// <param name="commandLine">Settings by name (<c>Data</c>, <c>Urls</c>), which win over file and environment.</param>
    public static (NodeOptions Options, IConfigurationRoot Configuration) Read(
        string? file, IEnumerable<KeyValuePair<string, string?>> commandLine)
    {
        var builder = new ConfigurationBuilder();
        if (file is not null)
        {
            if (!File.Exists(file))
                throw new StartRefusedException($"The configuration file {file} does not exist.");
            builder.AddJsonFile(Path.GetFullPath(file), optional: false, reloadOnChange: false);
        }
        builder.AddEnvironmentVariables();
        builder.AddInMemoryCollection(commandLine.Select(p => KeyValuePair.Create($"{Section}:{p.Key}", p.Value)));
        IConfigurationRoot configuration;
        try
        {
            configuration = builder.Build();
        }
        catch (Exception e) when (e is InvalidDataException or FormatException)
        {
            throw new StartRefusedException($"The configuration file {file} is not valid JSON: {e.GetBaseException().Message}");
        }
        return (Bind(configuration), configuration);
    }

    public static NodeOptions Bind(IConfiguration configuration)
    {
        var section = configuration.GetSection(Section);
        RefuseUnknown(section, typeof(NodeOptions), ModuleSections);
        foreach (var (name, type) in ModuleSections)
            RefuseUnknown(section.GetSection(name), type, new Dictionary<string, Type>());
        NodeOptions options;
        try
        {
            options = section.Get<NodeOptions>() ?? new NodeOptions();
        }
        catch (InvalidOperationException e)
        {
            throw new StartRefusedException($"A setting cannot be read: {e.Message}");
        }
        Validate(options);
        return options;
    }

    public static void Validate(NodeOptions options)
    {
        var failures = new List<ValidationResult>();
        if (!Validator.TryValidateObject(options, new ValidationContext(options), failures, validateAllProperties: true))
            throw new StartRefusedException("A setting is out of its limits: " + string.Join(" ", failures.Select(f => f.ErrorMessage)));
        if (!TimeZoneInfo.TryFindSystemTimeZoneById(options.TimeZone, out _))
            throw new StartRefusedException("TimeZone must be the name of a time zone, such as Asia/Shanghai.");
        _ = options.SegmentPlace();
        _ = options.WitnessPlaces();
        _ = options.LogsWitnessed();
        _ = ExternalProvider.Of(options);
        if (options.BootstrapClient is { } client && client.IndexOf(':', StringComparison.Ordinal) is var colon
            && (colon < 1 || client.Length - colon - 1 < 12))
            throw new StartRefusedException("BootstrapClient must be ID:SECRET with a secret of at least 12 characters.");
    }

    private static void RefuseUnknown(IConfigurationSection section, Type type, IReadOnlyDictionary<string, Type> modules)
    {
        var known = type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(p => p.Name)
            .Concat(modules.Keys).ToHashSet(StringComparer.OrdinalIgnoreCase);
        foreach (var child in section.GetChildren())
        {
            if (known.Contains(child.Key))
                continue;
            var near = known.MinBy(k => Distance(k, child.Key))!;
            var hint = Distance(near, child.Key) <= 3 ? $" Did you mean {near}?" : "";
            throw new StartRefusedException(
                $"There is no setting {child.Path}.{hint} The settings are listed in docs/contracts/configuration.md.");
        }
    }

    private static int Distance(string a, string b)
    {
        // Levenshtein over two rows; names are short.
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = char.ToUpperInvariant(a[i - 1]) == char.ToUpperInvariant(b[j - 1]) ? 0 : 1;
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j] + 1, row[j - 1] + 1), diagonal + cost));
            }
        }
        return row[b.Length];
    }
}
