using System.Text;
using System.Xml.Linq;
using Gongzhi.Core;
using Gongzhi.Core.Storage;
using Microsoft.AspNetCore.DataProtection.Repositories;

namespace Gongzhi.Node.Identity;

/// <summary>
/// The data-protection keys of a cluster, in its database under its secret. A key is made two days before it is first used and each machine reads the ring anew every day, so
/// all know a new key before it counts.
/// </summary>
internal sealed class SharedKeyRing(World world) : IXmlRepository
{
    private const string Prefix = "data-protection/";

    public IReadOnlyCollection<XElement> GetAllElements() => [.. WorldKeys.List(world, Prefix).Select(k => XElement.Parse(Encoding.UTF8.GetString(k)))];

    public void StoreElement(XElement element, string friendlyName) =>
        WorldKeys.Add(world, Prefix + friendlyName, Encoding.UTF8.GetBytes(element.ToString(SaveOptions.DisableFormatting)));

    /// <summary>Keys that this machine had as files when it was alone; then sessions of before stay valid.</summary>
    public void TakeOver()
    {
        foreach (var path in Directory.EnumerateFiles(world.KeyDirectory, "key-*.xml"))
            StoreElement(XElement.Load(path), Path.GetFileNameWithoutExtension(path));
    }
}
