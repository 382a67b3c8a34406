namespace Gongzhi.Core.Storage;

/// <summary>Where a world's PostgreSQL database is, and how to sign in there. Prints nothing of it, since it may hold a password.</summary>
public sealed class PostgresAddress
{
    /// <param name="connectionString">In Npgsql's words: <c>Host=…;Database=…;Username=…;Password=…</c>.</param>
    /// <exception cref="ArgumentException">It is no connection string, or names no host or no database.</exception>
    public PostgresAddress(string connectionString)
    {
        var settings = new Npgsql.NpgsqlConnectionStringBuilder(connectionString);
        if (string.IsNullOrEmpty(settings.Host) || string.IsNullOrEmpty(settings.Database))
            throw new ArgumentException("The address of the PostgreSQL database names no host or no database.", nameof(connectionString));
        ConnectionString = settings.ToString();
        Place = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{settings.Host}:{settings.Port}/{settings.Database}");
    }

    /// <summary>Host, port and database, without any secret: for sentences to the operator.</summary>
    public string Place { get; }

    public string ConnectionString { get; }

    public override string ToString() => "postgres";
}
