using System.Data.Common;
using System.Security.Cryptography;
using System.Text;

namespace Gongzhi.Core.Storage;

/// <summary>Under what the keys of a world are enciphered that several machines share. Derived from what the operator gives to each of them; never printed.</summary>
public sealed class ClusterSecret
{
    /// <summary>Shortest and longest secret, in bytes of UTF-8.</summary>
    public const int BytesMin = 32, BytesMax = 4_096;

    private readonly byte[] _key;

    /// <param name="secret">The operator's secret.</param>
    /// <param name="origin">The world's ledger origin: the same secret in two worlds gives two keys.</param>
    /// <exception cref="ArgumentException">It is too short or too long.</exception>
    public ClusterSecret(string secret, string origin)
    {
        var bytes = Encoding.UTF8.GetBytes(secret);
        if (bytes.Length is < BytesMin or > BytesMax)
            throw new ArgumentException($"A cluster's secret is {BytesMin} to {BytesMax} bytes.", nameof(secret));
        _key = HKDF.DeriveKey(HashAlgorithmName.SHA256, bytes, 32, Encoding.UTF8.GetBytes(origin), "gongzhi/world-key/1"u8.ToArray());
    }

    public override string ToString() => "(secret)";

    /// <summary>AES-256-GCM: 12 bytes of nonce, 16 of tag, the ciphertext. The name is authenticated, so that no key stands in for another.</summary>
    internal byte[] Encipher(string name, ReadOnlySpan<byte> plain)
    {
        var sealedBytes = new byte[28 + plain.Length];
        RandomNumberGenerator.Fill(sealedBytes.AsSpan(0, 12));
        using var aes = new AesGcm(_key, 16);
        aes.Encrypt(sealedBytes.AsSpan(0, 12), plain, sealedBytes.AsSpan(28), sealedBytes.AsSpan(12, 16), Encoding.UTF8.GetBytes(name));
        return sealedBytes;
    }

    /// <exception cref="WorldKeyException">It was enciphered under another secret, or changed since.</exception>
    internal byte[] Decipher(string name, byte[] sealedBytes)
    {
        if (sealedBytes.Length < 28)
            throw WorldKeyException.Of(name);
        var plain = new byte[sealedBytes.Length - 28];
        try
        {
            using var aes = new AesGcm(_key, 16);
            aes.Decrypt(sealedBytes.AsSpan(0, 12), sealedBytes.AsSpan(28), sealedBytes.AsSpan(12, 16), plain, Encoding.UTF8.GetBytes(name));
            return plain;
        }
        catch (AuthenticationTagMismatchException)
        {
            throw WorldKeyException.Of(name);
        }
    }
}

/// <summary>A kept key cannot be had; the message is one plain sentence for the operator.</summary>
public sealed class WorldKeyException(string message) : Exception(message)
{
    internal static WorldKeyException Of(string name) =>
        new($"The key {name} in the database cannot be read with this ClusterSecret: it is not the one that the cluster was made with, or the row was changed.");
}

/// <summary>
/// The secret keys of a world by name: files of its key directory (mode 0600), or, where machines share them (<see cref="World.Secret"/>), rows of its PostgreSQL database
/// enciphered under the cluster's secret. Whoever comes first makes a key, and all read the one that is there.
/// </summary>
public static class WorldKeys
{
    /// <summary>Held while a first key is made whose making takes more than one statement; next to the writer's and the node's.</summary>
    private const long FirstLock = 0x676F6E677A686B;

    private const string Table = "CREATE TABLE IF NOT EXISTS world_key (name text COLLATE \"C\" NOT NULL PRIMARY KEY, content bytea NOT NULL)";

    internal static string Schema(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS world_key (
            name {store.Text} NOT NULL PRIMARY KEY,
            content {store.Bytes} NOT NULL
        );
        """;

    /// <summary>The key, made if there is none. One that is in the key directory already is taken over into the database.</summary>
    /// <exception cref="WorldKeyException">The secret is not the one it was enciphered under.</exception>
    public static byte[] GetOrMake(World world, string name, Func<byte[]> make)
    {
        if (Find(world, name) is { } found)
            return found;
        var path = Path.Combine(world.KeyDirectory, name);
        if (world.Secret is null)
        {
            var made = make();
            Publish(world, path, made);
            return made;
        }
        Add(world, name, File.Exists(path) ? File.ReadAllBytes(path) : make());
        return Find(world, name) ?? throw new WorldKeyException($"The key {name} could not be kept in the database.");
    }

    /// <summary>The key, or null when there is none; makes nothing.</summary>
    /// <exception cref="WorldKeyException">The secret is not the one it was enciphered under.</exception>
    public static byte[]? Find(World world, string name)
    {
        if (world.Secret is null)
            return Path.Combine(world.KeyDirectory, name) is var path && File.Exists(path) ? File.ReadAllBytes(path) : null;
        using var connection = NodeDatabase.OpenReader(world);
        if (!SqlStore.Of(world).HasTable(connection, null, "world_key"))
            return null;
        using var command = connection.Command("SELECT content FROM world_key WHERE name = @name").Set("@name", name);
        return command.ExecuteScalar() is byte[] content ? world.Secret.Decipher(name, content) : null;
    }

    /// <summary>All keys whose names begin so, in the order of their names; of a world whose machines share them.</summary>
    public static IReadOnlyList<byte[]> List(World world, string prefix)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command("SELECT name, content FROM world_key WHERE substr(name, 1, length(@prefix)) = @prefix ORDER BY name").Set("@prefix", prefix);
        var keys = new List<byte[]>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            keys.Add(world.Secret!.Decipher(reader.GetString(0), (byte[])reader[1]));
        return keys;
    }

    /// <summary>Adds a key to a world whose machines share them, unless one of that name is there.</summary>
    public static void Add(World world, string name, ReadOnlySpan<byte> content)
    {
        using var connection = PostgresStore.OpenLedger(world);
        // A change of no state: not the writer's, and before there is one.
        using var transaction = SqlStore.Of(world).BeginWrite(connection);
        using (var table = connection.Command(Table, transaction))
            table.ExecuteNonQuery();
        using (var insert = connection.Command("INSERT INTO world_key(name, content) VALUES (@name, @content) ON CONFLICT (name) DO NOTHING", transaction)
            .Set("@name", name).Set("@content", world.Secret!.Encipher(name, content)))
            insert.ExecuteNonQuery();
        transaction.Commit();
    }

    /// <summary>Deletes a key that is not used any more.</summary>
    internal static void Remove(World world, string name)
    {
        if (world.Secret is not null)
        {
            using var connection = PostgresStore.OpenLedger(world);
            using var command = connection.Command("DELETE FROM world_key WHERE name = @name").Set("@name", name);
            command.ExecuteNonQuery();
        }
        // Also one that lies there since before the machines shared their keys.
        File.Delete(Path.Combine(world.KeyDirectory, name));
    }

    /// <summary>Refuses a secret that is not the cluster's, and a world whose keys are in the database when none is given.</summary>
    /// <exception cref="WorldKeyException">So it is.</exception>
    public static void Demand(World world)
    {
        if (world.Database is null)
            return;
        if (world.Secret is not null)
        {
            GetOrMake(world, "secret-check", static () => "gongzhi"u8.ToArray());
            return;
        }
        using var connection = NodeDatabase.OpenReader(world);
        if (!SqlStore.Of(world).HasTable(connection, null, "world_key"))
            return;
        using var command = connection.Command("SELECT EXISTS (SELECT 1 FROM world_key)");
        if (command.IsTrue())
            throw new WorldKeyException("The keys of this world are in its database, enciphered; give ClusterSecret or ClusterSecretFile as on the machines before.");
    }

    /// <summary>Runs what makes a first key on one machine at a time.</summary>
    public static void OneAtATime(World world, Action make)
    {
        using var connection = PostgresStore.OpenLedger(world);
        using var transaction = connection.BeginTransaction();
        using (var command = connection.Command("SELECT pg_advisory_xact_lock(@key)", transaction).Set("@key", FirstLock))
            command.ExecuteNonQuery();
        make();
        transaction.Commit();
    }

    private static void Publish(World world, string path, byte[] content)
    {
        Directory.CreateDirectory(world.KeyDirectory);
        var temporary = path + ".tmp";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var file = new FileStream(temporary, options))
        {
            file.Write(content);
            world.Durably("flush key", () => file.Flush(flushToDisk: true));
        }
        DurableFile.Publish(world, temporary, path);
    }
}
