namespace Gongzhi.Core.Territory;

/// <summary>
/// The levels of the administrative division tree, from GB/T 2260 (province, prefecture, county), the 12-digit statistical code
/// (street, community) and grid management (cell). The order is the order of the tree.
/// </summary>
public enum PlaceLevel
{
    /// <summary>No place: <c>default(PlaceCode)</c>.</summary>
    None = 0,
    /// <summary>省级, 2 digits.</summary>
    Province = 1,
    /// <summary>地级, 4 digits.</summary>
    Prefecture = 2,
    /// <summary>县级, 6 digits.</summary>
    County = 3,
    /// <summary>乡级 (street, town, township), 9 digits.</summary>
    Street = 4,
    /// <summary>村级 (residents' or villagers' committee), 12 digits.</summary>
    Community = 5,
    /// <summary>网格, 15 digits: the community and three more.</summary>
    Cell = 6,
}
